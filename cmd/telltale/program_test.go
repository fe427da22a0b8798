package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program is one that is killed, stopped and started again. All its runs write to one log.
type program struct {
	name    string
	log     *os.File
	command func() *exec.Cmd

	mu    sync.Mutex // guards what follows
	run   *exec.Cmd  // nil before the first
	ended chan struct{}
}

// newProgram makes a program that ends with the test at the latest.
func newProgram(t *testing.T, name, log string, command func() *exec.Cmd) *program {
	t.Helper()
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{name: name, log: file, command: command}
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		_ = file.Close()
	})
	return p
}

func (p *program) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	run := p.command()
	bindToTest(run)
	run.Stdout, run.Stderr = p.log, p.log
	if _, err := run.StdinPipe(); err != nil { // closed by Wait, or by the end of this process
		return err
	}
	if err := run.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.run, p.ended = run, ended
	go func() {
		defer close(ended) // its waiters are end and running
		_ = run.Wait()
	}()
	return nil
}

// signal sends a signal to the program if it runs.
func (p *program) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		_ = p.run.Process.Signal(s) // one that has ended needs none
	}
}

// end sends a signal, waits for the end, and returns the exit code; -1: it was killed, or never ran.
func (p *program) end(s syscall.Signal) int {
	p.mu.Lock()
	run, ended := p.run, p.ended
	p.mu.Unlock()
	if run == nil {
		return -1
	}
	_ = run.Process.Signal(s)
	<-ended
	return run.ProcessState.ExitCode()
}

func (p *program) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *program) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return 0
	}
	return p.run.Process.Pid
}

// said returns what all runs have written.
func (p *program) said() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// lastWords returns the last lines of the log.
func (p *program) lastWords(lines int) string {
	all := strings.Split(strings.TrimSpace(p.said()), "\n")
	return strings.Join(all[max(len(all)-lines, 0):], "\n")
}

// engineOf returns the process of a hub's ClickHouse, 0 where it has none now.
func engineOf(hub *program) int {
	pid := hub.pid()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	for _, task := range tasks {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue
		}
		for _, child := range strings.Fields(string(children)) {
			if number, err := strconv.Atoi(child); err == nil {
				return number
			}
		}
	}
	return 0
}

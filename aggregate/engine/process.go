package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// startQueries open the two listeners, the one that readiness looks at last, and then read
// standard input to its end, which is when the hub closes it or is no more.
const startQueries = "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; " +
	"SELECT count() FROM file('/dev/stdin', 'LineAsString', 'x String') FORMAT Null"

const (
	leaveTimeout = 10 * time.Second // from the end of its input until it is told to end
	termTimeout  = 3 * time.Second  // from then until it is killed
)

// process is one run of the engine. Its standard input is its lifeline.
type process struct {
	command  *exec.Cmd
	lifeline io.Closer
	exited   chan struct{} // closed when it has ended and err is set
	err      error
}

// startProcess must be called on a thread that lives as long as the process: see bindToParent.
func startProcess(path string, dir folder, id identity, errorLog io.Writer) (*process, error) {
	args := []string{
		"--config-file", dir.config(), "--path", dir.store(), "--listen_host", loopback,
		"--tcp_port", strconv.Itoa(id.TCPPort), "--http_port", strconv.Itoa(id.HTTPPort),
		"--query", startQueries,
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	command := exec.Command(self, append([]string{childArg, path}, args...)...)
	// Relative paths in queries and core files belong to the engine's directory.
	command.Dir = string(dir)
	command.Stderr = errorLog
	command.Env = childEnvironment()
	command.WaitDelay = termTimeout
	// A process group of its own keeps the terminal's Ctrl-C from it: the hub ends it when
	// the last block is stored.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	bindToParent(command.SysProcAttr)

	lifeline, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the engine: %w", err)
	}
	p := &process{command: command, lifeline: lifeline, exited: make(chan struct{})}
	go p.wait()
	return p, nil
}

// wait ends when the process has; its owner waits for that with exited.
func (p *process) wait() {
	defer close(p.exited)
	p.err = p.command.Wait()
	if p.err == nil {
		p.err = fmt.Errorf("left by itself")
	}
}

func (p *process) pid() int { return p.command.Process.Pid }

// kill ends the process at once and waits for that. Killing one that has ended does nothing.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.exited
}

// stop asks the process to leave, tells it, and kills it; the last at once when ctx ends.
func (p *process) stop(ctx context.Context) {
	_ = p.lifeline.Close()
	if p.awaitExit(ctx, leaveTimeout) {
		return
	}
	_ = p.command.Process.Signal(syscall.SIGTERM)
	if !p.awaitExit(ctx, termTimeout) {
		p.kill()
	}
}

func (p *process) awaitExit(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.exited:
		return true
	case <-ctx.Done():
		return false
	}
}

// childEnvironment is what of the hub's environment the engine needs. The rest may be secret, and a query can read it.
func childEnvironment() []string {
	var kept []string
	for _, name := range []string{"PATH", "HOME", "TZ", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH"} {
		if value, has := os.LookupEnv(name); has {
			kept = append(kept, name+"="+value)
		}
	}
	return kept
}

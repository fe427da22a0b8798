package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// fleet is a real hub with its real ClickHouse, and the agents that deliver to it.
type fleet struct {
	*installation
	hub    *program
	agents []*member
	lanes  int
}

// member is an agent of the fleet; process is nil for one that runs within the test.
type member struct {
	id, dir string
	process *program
}

// newFleet starts a hub that holds at most so many bytes that are not stored.
func newFleet(t *testing.T, maxUnstored, lanes int) *fleet {
	t.Helper()
	f := &fleet{installation: install(t), lanes: lanes}
	f.data = filepath.Join(t.ArtifactDir(), "hub") // with -artifacts all of it can be looked at afterwards
	if err := os.MkdirAll(f.data, 0o700); err != nil {
		t.Fatal(err)
	}
	library := enginePath(t)
	f.hub = newProgram(t, "hub", filepath.Join(t.ArtifactDir(), "hub.log"), func() *exec.Cmd {
		command := exec.Command(filepath.Join(f.bin, "telltale"), "serve", "--data", f.data, "--listen", f.listen,
			"--max-unstored", fmt.Sprint(maxUnstored))
		command.Env = append(os.Environ(), "TELLTALE_AGENT_TOKEN="+testToken, "TELLTALE_ADMIN_PASSWORD=a-password-for-tests",
			"TELLTALE_ENGINE="+library)
		return command
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the hub said last:\n%s", f.hub.lastWords(60))
		}
	})
	if err := f.hub.start(); err != nil {
		t.Fatal(err)
	}
	f.awaitHub()
	return f
}

func (f *fleet) awaitHub() {
	f.t.Helper()
	eventually(f.t, "the hub is ready", func() bool { return f.status("/readyz", "") == http.StatusOK })
}

// patient asks a hub that may be stopped.
var patient = &http.Client{Timeout: 5 * time.Second}

// status is that of a GET; 0 without an answer.
func (f *fleet) status(path, token string) int {
	request, err := http.NewRequest(http.MethodGet, "http://"+f.listen+path, nil)
	if err != nil {
		return 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := patient.Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// newMember makes room for an agent.
func (f *fleet) newMember(n int) *member {
	id := fmt.Sprintf("agent-%03d", n)
	m := &member{id: id, dir: filepath.Join(f.t.ArtifactDir(), id)}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	f.agents = append(f.agents, m)
	return m
}

// addProcess adds an agent that is a process of its own, and starts it.
func (f *fleet) addProcess(n int, hub string, interval time.Duration) {
	f.t.Helper()
	self, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	m := f.newMember(n)
	m.process = newProgram(f.t, m.id, m.dir+".log", func() *exec.Cmd {
		return exec.Command(self, sequenceAgentArg, "ws://"+hub, m.id, m.dir, interval.String())
	})
	if err := m.process.start(); err != nil {
		f.t.Fatal(err)
	}
}

// checkedAtOnce bounds the rows of a check that are in memory.
const checkedAtOnce = 25

// check compares what every agent has produced up to a time with what history holds.
func (f *fleet) check(ctx context.Context, history driver.Conn, until time.Time) ([]*delivery, error) {
	var all []*delivery
	for agents := range slices.Chunk(f.agents, checkedAtOnce) {
		some, err := checkDelivery(ctx, history, agents, f.lanes, until.UnixMilli())
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// awaitDelivered waits until nothing is missing of what was produced until now.
func (f *fleet) awaitDelivered(history driver.Conn) []*delivery {
	f.t.Helper()
	began := time.Now()
	for {
		all, err := f.check(context.Background(), history, began)
		if err == nil && len(differencesOf(all)) == 0 {
			return all
		}
		if time.Since(began) > 3*time.Minute {
			f.report(all)
			f.t.Fatalf("not all is delivered after three minutes; the last check: %v", err)
		}
		time.Sleep(time.Second)
	}
}

func differencesOf(all []*delivery) []string {
	var list []string
	for _, d := range all {
		list = append(list, d.differences...)
	}
	return list
}

// report fails the test for every difference there is.
func (f *fleet) report(all []*delivery) {
	f.t.Helper()
	list := differencesOf(all)
	for _, line := range list[:min(len(list), 40)] {
		f.t.Error(line)
	}
	if len(list) > 40 {
		f.t.Errorf("and %d more differences", len(list)-40)
	}
	for i, d := range all {
		if p := f.agents[i].process; len(d.differences) > 0 {
			f.t.Logf("%s: %v", d.agent, d.gaps)
			if p != nil {
				f.t.Logf("%s said last:\n%s", d.agent, p.lastWords(30))
			}
		}
	}
}

var keptBatches = regexp.MustCompile(`msg=stopped .*kept_batches=(\d+)`)

// stopAgents ends the agents' processes in an orderly way, again where one has not had the time to deliver
// its last, until all spools are empty.
func (f *fleet) stopAgents() {
	f.t.Helper()
	for _, m := range f.agents {
		m.process.signal(syscall.SIGTERM)
	}
	for _, m := range f.agents {
		for try := 1; ; try++ {
			if code := m.process.end(syscall.SIGTERM); code != 0 {
				f.t.Errorf("%s: an orderly stop ends with exit code %d", m.id, code)
			}
			kept := keptBatches.FindStringSubmatch(m.process.lastWords(1))
			if kept != nil && kept[1] == "0" {
				break
			}
			if try == 5 {
				f.t.Errorf("%s has not emptied its spool: %s", m.id, m.process.lastWords(3))
				break
			}
			if err := m.process.start(); err != nil {
				f.t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
		}
	}
}

// disagreements are lines of agents' logs in which hub and agent see a sequence differently: nothing
// that may happen to either, or to the connection, explains that.
func (f *fleet) disagreements() []string {
	var list []string
	for _, m := range f.agents {
		for line := range strings.Lines(m.process.said()) {
			if strings.Contains(line, "does not agree") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic:") {
				list = append(list, m.id+": "+strings.TrimSpace(line))
			}
		}
	}
	return list
}

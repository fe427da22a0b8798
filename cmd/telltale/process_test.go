package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"telltale/aggregate/engine"
)

// installation is the built programs with a data directory, run as their users run them.
type installation struct {
	t      *testing.T
	bin    string
	data   string
	listen string
}

const testToken = "a-token-for-the-tests-of-processes"

func install(t *testing.T) *installation {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return &installation{t: t, bin: bin, data: t.TempDir(), listen: free.Addr().String()}
}

// programs builds the programs for the first test that asks, and returns their folder. removePrograms is for the end.
var programs = sync.OnceValues(func() (string, error) {
	bin, err := os.MkdirTemp("", "telltale-bin-")
	if err != nil {
		return "", err
	}
	programsFolder = bin
	build := exec.Command("go", "build", "-o", bin, "telltale/cmd/telltale", "telltale/cmd/telltale-agent", "telltale/cmd/telltale-bench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return bin, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// programsFolder is set by programs.
var programsFolder string

func removePrograms() error { return os.RemoveAll(programsFolder) }

// process is a running program whose output is kept.
type process struct {
	*exec.Cmd
	output *lockedBuffer
	ended  chan struct{}
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func (in *installation) start(program string, args ...string) *process {
	in.t.Helper()
	p := &process{Cmd: exec.Command(filepath.Join(in.bin, program), args...), output: &lockedBuffer{}, ended: make(chan struct{})}
	p.Env = append(os.Environ(),
		"TELLTALE_AGENT_TOKEN="+testToken, "TELLTALE_ADMIN_PASSWORD=a-password-for-tests", "TELLTALE_TOKEN="+testToken,
		"TELLTALE_ENGINE="+enginePath(in.t))
	p.Stdout, p.Stderr = p.output, p.output
	if err := p.Start(); err != nil {
		in.t.Fatal(err)
	}
	go func() {
		_ = p.Wait()
		close(p.ended)
	}()
	in.t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		if in.t.Failed() {
			in.t.Logf("%s said:\n%s", program, p.output)
		}
	})
	return p
}

// enginePath is found from here, since the programs are built elsewhere.
func enginePath(t *testing.T) string {
	t.Helper()
	path, err := engine.Find("")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// signal sends a signal and waits for the end.
func (p *process) signal(s syscall.Signal) {
	_ = p.Process.Signal(s)
	<-p.ended
}

func (in *installation) startHub(flags ...string) *process {
	in.t.Helper()
	hub := in.start("telltale", append([]string{"serve", "--data", in.data, "--listen", in.listen}, flags...)...)
	eventually(in.t, "the hub is ready", func() bool {
		response, err := http.Get("http://" + in.listen + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusOK
	})
	return hub
}

func (in *installation) startAgent() *process {
	return in.start("telltale-agent", "--hub", "ws://"+in.listen, "--spool", filepath.Join(in.data, "agent"), "--id", "this-host", "--label", "region=eu")
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

var clickhouseLine = regexp.MustCompile(`clickhouse +(http://\S+) +user (\S+) +password (\S+)`)

// sql asks as an analyst does: by HTTP, with what the hub printed.
func sql(t *testing.T, hub *process, query string) (string, error) {
	t.Helper()
	printed := clickhouseLine.FindStringSubmatch(hub.output.String())
	if printed == nil {
		t.Fatalf("the hub printed no ClickHouse address:\n%s", hub.output)
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, printed[1]+"/?database=telltale", strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(printed[2], printed[3])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

func mustSQL(t *testing.T, hub *process, query string) string {
	t.Helper()
	answer, err := sql(t, hub, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

const perSecond = "FROM samples WHERE agent = 'this-host' AND metric = 'system.memory.utilization'"

// stored is how many samples of a metric that comes every second are in history.
func stored(t *testing.T, hub *process) int {
	t.Helper()
	answer, err := sql(t, hub, "SELECT count() "+perSecond)
	if err != nil {
		return -1 // the engine is being restarted
	}
	n, err := strconv.Atoi(answer)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (in *installation) awaitMore(hub *process, samples int) {
	in.t.Helper()
	before := 0
	eventually(in.t, "the history answers", func() bool { before = stored(in.t, hub); return before >= 0 })
	eventually(in.t, "new samples are stored", func() bool { return stored(in.t, hub) >= before+samples })
}

// childOf is the hub's ClickHouse.
func childOf(t *testing.T, hub *process) int {
	t.Helper()
	path := fmt.Sprintf("/proc/%d/task/%d/children", hub.Process.Pid, hub.Process.Pid)
	for _, task := range append([]string{path}, taskFiles(hub)...) {
		text, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			pid, err := strconv.Atoi(fields[0])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the hub has no child process")
	return 0
}

func taskFiles(hub *process) []string {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", hub.Process.Pid))
	return files
}

func TestKillingEachProcessInTurnLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	in := install(t)
	hub := in.startHub()
	agent := in.startAgent()
	in.awaitMore(hub, 3)

	// The hub again and again, then its ClickHouse: the agent holds what is not acknowledged, so no second may be missing.
	for range 5 {
		hub.signal(syscall.SIGKILL)
		hub = in.startHub()
		in.awaitMore(hub, 3)
	}
	if err := syscall.Kill(childOf(t, hub), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	in.awaitMore(hub, 3)
	eventually(t, "no second is missing from history", func() bool { // what an outage has left comes after what is fresh
		return mustSQL(t, hub, "SELECT dateDiff('second', min(ts), max(ts)) + 1 - uniqExact(ts) "+perSecond) == "0"
	})

	// The agent: what was acknowledged stays, and the time in which something may be lost is declared.
	before := mustSQL(t, hub, "SELECT max(ts) "+perSecond)
	count := mustSQL(t, hub, "SELECT count() "+perSecond+" AND ts <= '"+before+"'")
	agent.signal(syscall.SIGKILL)
	killed := time.Now()
	agent = in.startAgent()
	in.awaitMore(hub, 3)
	if gaps := mustSQL(t, hub, fmt.Sprintf(`SELECT reason, start BETWEEN fromUnixTimestamp64Milli(%d) AND fromUnixTimestamp64Milli(%[2]d), end BETWEEN
		fromUnixTimestamp64Milli(%[2]d) AND now64(3) FROM gaps WHERE agent = 'this-host'`, killed.Add(-10*time.Second).UnixMilli(), killed.UnixMilli())); gaps != "unclean_stop\t1\t1" {
		t.Errorf("the gaps of the agent that was killed are %q, want one that begins before its end and ends after it", gaps)
	}
	if after := mustSQL(t, hub, "SELECT count() "+perSecond+" AND ts <= '"+before+"'"); after != count {
		t.Errorf("%s samples up to %s, want the %s that were there before the agent was killed", after, before, count)
	}

	// A distribution has a row for each of its bins.
	const repeats = "SELECT metric, labels, ts, count() FROM samples GROUP BY metric, labels, ts, if(kind = 'distribution', value, 0) HAVING count() > 1"
	if repeated := mustSQL(t, hub, repeats); repeated != "" {
		t.Errorf("samples are stored more than once:\n%s", repeated)
	}
	if labels := mustSQL(t, hub, "SELECT DISTINCT labels "+perSecond); labels != "{'region':'eu'}" {
		t.Errorf("labels are %s", labels)
	}
	value := mustSQL(t, hub, "SELECT argMax(value, ts) "+perSecond)
	if share, err := strconv.ParseFloat(value, 64); err != nil || share <= 0 || share >= 1 {
		t.Errorf("memory utilization is %s, want a ratio", value)
	}

	agent.signal(syscall.SIGTERM)
	hub.signal(syscall.SIGTERM)
	for name, p := range map[string]*process{"agent": agent, "hub": hub} {
		if code := p.ProcessState.ExitCode(); code != 0 {
			t.Errorf("an orderly stop of the %s ends with exit code %d", name, code)
		}
	}
}

func TestTokensAreMadeAndRevokedBesideARunningHub(t *testing.T) {
	in := install(t)
	made := in.command("token", "create", "--data", in.data, "web-1") // no hub runs yet
	hub := in.startHub()
	second := in.command("token", "create", "--data", in.data, "--scope", "metrics", "prometheus")

	if status := in.metricsStatus(second); status != http.StatusOK {
		t.Fatalf("/metrics with its token: %d", status)
	}
	if status := in.metricsStatus(made); status != http.StatusUnauthorized {
		t.Fatalf("/metrics with an agent's token: %d, want 401", status)
	}
	list := in.command("token", "list", "--data", in.data)
	if strings.Contains(list, made) || strings.Contains(list, second) {
		t.Fatal("the list shows a secret")
	}
	id := regexp.MustCompile(`(?m)^(\S+) +metrics +prometheus`).FindStringSubmatch(list)
	if id == nil {
		t.Fatalf("the list does not show the token:\n%s", list)
	}
	in.command("token", "revoke", "--data", in.data, id[1])
	eventually(t, "the revoked token opens nothing", func() bool { return in.metricsStatus(second) == http.StatusUnauthorized })
	hub.signal(syscall.SIGTERM)
	if strings.Contains(hub.output.String(), made) || strings.Contains(hub.output.String(), second) {
		t.Fatal("the hub's output shows a secret")
	}
}

// command runs a subcommand to its end and returns what it printed.
func (in *installation) command(args ...string) string {
	in.t.Helper()
	command := exec.Command(filepath.Join(in.bin, "telltale"), args...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		in.t.Fatalf("telltale %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

func (in *installation) metricsStatus(token string) int {
	in.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+in.listen+"/metrics", nil)
	if err != nil {
		in.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

func TestASecondHubOnTheSameDataIsRefused(t *testing.T) {
	in := install(t)
	in.startHub()
	second := in.start("telltale", "serve", "--data", in.data, "--listen", "127.0.0.1:0")
	<-second.ended
	if said := second.output.String(); second.ProcessState.ExitCode() != 1 || !strings.Contains(said, in.data) || !strings.Contains(said, "in use") {
		t.Fatalf("exit code %d, output:\n%s", second.ProcessState.ExitCode(), said)
	}
}

func TestWrongConfigurationIsRefusedByName(t *testing.T) {
	in := install(t)
	file := filepath.Join(t.TempDir(), "telltale.yaml")
	for _, c := range []struct{ yaml, args, want string }{
		{"lisen: 127.0.0.1:0", "", `unknown key "lisen"`},
		{"listen: [", "", "configuration file"},
		{"", "--listen=0.0.0.0:0", "--insecure"},
		{"", "--max-unstored=1", "--max-unstored"},
		{"", "--max-viewers=0", "--max-viewers"},
		{"max-viewers-per-user: -1", "", "--max-viewers-per-user"},
		{"", "--tls-cert=" + file, "--tls-key"},
		{"", "--engine=/nowhere/to/be/found", "/nowhere/to/be/found"},
	} {
		if err := os.WriteFile(file, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"serve", "--data", in.data, "--config", file}
		if c.args != "" {
			args = append(args, c.args)
		}
		p := in.start("telltale", args...)
		<-p.ended
		if said := p.output.String(); p.ProcessState.ExitCode() == 0 || !strings.Contains(said, c.want) {
			t.Errorf("%q %q: exit code %d, output without %q:\n%s", c.yaml, c.args, p.ProcessState.ExitCode(), c.want, said)
		}
	}
}

func TestTheEffectiveConfigurationIsLoggedWithoutSecrets(t *testing.T) {
	in := install(t)
	file := filepath.Join(t.TempDir(), "telltale.yaml")
	yaml := "log-format: json\nstop-timeout: 7s\nclickhouse: clickhouse://someone:secret-of-someone@127.0.0.1:1/telltale\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	hub := in.start("telltale", "serve", "--data", in.data, "--listen", in.listen, "--config", file)
	eventually(t, "the configuration is logged", func() bool { return strings.Contains(hub.output.String(), "stop-timeout") })
	said := hub.output.String()
	for _, want := range []string{`"stop-timeout":"7s"`, in.listen, "someone:xxxxx@"} {
		if !strings.Contains(said, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	for _, secret := range []string{"secret-of-someone", testToken, "a-password-for-tests"} {
		if strings.Contains(said, secret) {
			t.Errorf("the log shows the secret %q", secret)
		}
	}
}

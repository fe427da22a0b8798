package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// examined is what the doctor prints for programs.
type examined struct {
	Verdict  string
	Findings []struct {
		Check, Verdict, Seen, Remedy string
		Figures                      map[string]float64
	}
	code int
}

// doctor runs the doctor, for programs, with the flags besides.
func (in *installation) doctor(flags ...string) (e examined) {
	in.t.Helper()
	text, code := in.runDoctor(append(flags, "--json")...)
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		in.t.Fatalf("the doctor printed %q: %v", text, err)
	}
	e.code = code
	for _, f := range e.Findings {
		if (f.Verdict == "ok") != (f.Remedy == "") || f.Seen == "" {
			in.t.Errorf("a finding without a remedy, or one of what is well: %+v", f)
		}
	}
	return e
}

func (in *installation) runDoctor(flags ...string) (text string, code int) {
	in.t.Helper()
	command := exec.Command(filepath.Join(in.bin, "telltale"), append([]string{"doctor", "--data", in.data}, flags...)...)
	command.Env = append(os.Environ(), "TELLTALE_ENGINE="+enginePath(in.t))
	var out, errors bytes.Buffer
	command.Stdout, command.Stderr = &out, &errors
	_ = command.Run() // its exit code is looked at
	if errors.Len() > 0 {
		in.t.Logf("the doctor said: %s", &errors)
	}
	return out.String(), command.ProcessState.ExitCode()
}

func (e *examined) String() string {
	var b strings.Builder
	for _, f := range e.Findings {
		fmt.Fprintf(&b, "%s %s: %s -> %s\n", f.Verdict, f.Check, f.Seen, f.Remedy)
	}
	return b.String()
}

// has says whether there is a finding of a check with a verdict, in whose text and remedy these are.
func (e *examined) has(check, verdict, seen, remedy string) bool {
	for _, f := range e.Findings {
		if f.Check == check && f.Verdict == verdict && strings.Contains(f.Seen, seen) && strings.Contains(f.Remedy, remedy) {
			return true
		}
	}
	return false
}

// well says whether all is well, but for what is slow on a busy machine: exit code and verdicts must agree.
func (e *examined) well() bool {
	worst := 0
	for _, f := range e.Findings {
		if f.Verdict == "ok" {
			continue
		}
		if f.Verdict == "fail" || f.Check != "storing" && f.Check != "clocks" {
			return false
		}
		worst = 1
	}
	return e.code == worst && e.Verdict == []string{"ok", "warn"}[worst]
}

// figure is one of the last finding of a check.
func (e *examined) figure(check, name string) (value float64) {
	for _, f := range e.Findings {
		if f.Check == check {
			value = f.Figures[name]
		}
	}
	return value
}

// ok says whether these checks have findings, all of them well.
func (e *examined) ok(checks ...string) bool {
	found := map[string]bool{}
	for _, f := range e.Findings {
		if found[f.Check] = true; slices.Contains(checks, f.Check) && f.Verdict != "ok" {
			return false
		}
	}
	return !slices.ContainsFunc(checks, func(check string) bool { return !found[check] })
}

// A healthy hub is well; one without its ClickHouse, one that hangs and one that does not run are not.
func TestTheDoctorOfAHubThatStops(t *testing.T) {
	t.Setenv("TELLTALE_MAX_VIEWERS", "500") // whatever number of file descriptors this machine allows
	in := install(t)
	hub := in.startHub()
	in.startAgent()
	in.awaitMore(hub, 3)
	var e examined
	eventually(t, "all is well", func() bool {
		e = in.doctor()
		return e.well() && strings.Contains(e.String(), "p99 from sample to stored was")
	})
	if !e.has("agents", "ok", "1 are connected", "") || !e.has("versions", "ok", "ClickHouse 26.7", "") || !e.has("tiers", "ok", "tier_1h", "") {
		t.Errorf("a healthy hub:\n%s", &e)
	}
	if text, code := in.runDoctor(); code > 1 || code == 0 && !strings.Contains(text, "all is well") || strings.Contains(text, "\x1b") {
		t.Errorf("exit code %d, for people:\n%s", code, text)
	}

	if err := syscall.Kill(childOf(t, hub), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "ClickHouse's end is told", func() bool {
		e = in.doctor()
		return e.has("clickhouse", "warn", "was started again", "--engine-memory")
	})
	in.awaitMore(hub, 2)
	engine := childOf(t, hub)
	if err := syscall.Kill(engine, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if e = in.doctor(); e.code != 2 || !e.has("clickhouse", "fail", "does not answer", "ClickHouse runs") {
		t.Errorf("with a ClickHouse that hangs, exit code %d:\n%s", e.code, &e)
	}
	_ = syscall.Kill(engine, syscall.SIGCONT) // the hub may have ended it by now
	eventually(t, "ClickHouse answers again", func() bool { e = in.doctor(); return e.has("clickhouse", "ok", "answers", "") })

	_ = hub.Process.Signal(syscall.SIGSTOP)
	eventually(t, "ClickHouse is looked at beside a hub that hangs", func() bool { // on a busy machine it may be too slow as well
		e = in.doctor()
		return e.has("clickhouse", "ok", "answers in", "")
	})
	_ = hub.Process.Signal(syscall.SIGCONT)
	if e.code != 2 || !e.has("hub", "fail", "nats", "log") || !e.has("disk", "ok", "free", "") {
		t.Errorf("with a hub that hangs, exit code %d:\n%s", e.code, &e)
	}

	hub.signal(syscall.SIGTERM)
	e = in.doctor()
	if e.code != 2 || !e.has("hub", "fail", "no hub is running", "telltale serve --data "+in.data) || !e.has("clickhouse", "ok", "found at", "") {
		t.Errorf("without a hub, exit code %d:\n%s", e.code, &e)
	}
	if _, code := in.runDoctor("--no-such-flag"); code != 3 {
		t.Errorf("a wrong command line ends with exit code %d", code)
	}
}

func TestTheDoctorNamesAFullDisk(t *testing.T) {
	t.Setenv("TELLTALE_MIN_FREE", "900000000000000")
	in := install(t)
	in.startHub()
	var e examined
	eventually(t, "the full disk is named", func() bool {
		e = in.doctor()
		return e.has("disk", "fail", "the floor (--min-free) is 900.0 TB", "make room") && e.has("storing", "fail", "disk", "make room")
	})
	if e.code != 2 {
		t.Errorf("exit code %d:\n%s", e.code, &e)
	}
}

// Faults of many kinds at once: each is named with its remedy.
func TestTheDoctorNamesEachFault(t *testing.T) {
	t.Parallel()
	in := install(t)
	hub := in.startHub()
	now := time.Now()

	off := in.connect("off", 20*time.Second)
	off.await("welcome", 0)
	off.batch(1, sampleAt(now), sampleAt(now.Add(-240*time.Hour)))
	off.send(fmt.Sprintf(`{"type":"gap","epoch":"e","seq":2,"to_seq":2,"from":%d,"to":%d,"count":70,"reason":"spool_full"}`,
		now.Add(-30*time.Second).UnixMilli(), now.Add(-20*time.Second).UnixMilli()))
	off.await("ack", 2)

	greedy := in.connect("greedy", 0)
	greedy.await("welcome", 0)
	for seq := 1; seq <= 3; seq++ {
		samples := make([]string, 7000) // 20,000 is the limit
		for i := range samples {
			samples[i] = fmt.Sprintf(`{"metric":"m","value":1,"labels":{"n":"%d-%d"}}`, seq, i)
		}
		greedy.batch(seq, samples...)
	}
	greedy.await("ack", 3)

	in.asWriter("ALTER TABLE raw ADD CONSTRAINT edible CHECK value != 666")
	off.batch(3, fmt.Sprintf(`{"metric":"m","value":666,"ts":%d}`, time.Now().UnixMilli()))
	off.await("ack", 3)
	in.asWriter("ALTER TABLE tier_10s ADD CONSTRAINT never CHECK count = 0")
	in.asWriter("INSERT INTO migrations VALUES (9999, 'of the future', '', now64(3))")
	in.asWriter("INSERT INTO known_agents (agent, first_seen, updated) VALUES ('lost', now64(3), now64(3) - INTERVAL 10 MINUTE)")
	if err := (backupNote{Time: now.AddDate(0, 0, -30), File: "/backups/old.tar", History: true}).write(in.data); err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // the third time that one takes over from the other, both are told
		twin := in.connectWith("twin", fmt.Sprint("epoch-", i%2), 0)
		twin.await([]string{"welcome", "welcome", "welcome", "error"}[i], 0)
	}

	want := []struct{ check, verdict, seen, remedy string }{
		{"clocks", "warn", "hub's clock: off (", "run NTP"},
		{"gaps", "warn", "off 70 samples in 1 gap (spool_full)", "--spool-bytes"},
		{"limits", "fail", "agent greedy has 20000 series, and may have 20000", "fewer distinct labels"},
		{"refused", "warn", "1 too_old", "--retention-raw"},
		{"refused", "warn", "1000 series_limit", "/api/v1/cardinality"},
		{"refused", "warn", "greedy's (series_limit)", ""},
		{"quarantine", "warn", "batches that ClickHouse refused for their data: 1 ", "first line"},
		{"tiers", "warn", "tier_10s could not be written", "queries read raw"},
		{"tiers", "warn", "never", ""},
		{"versions", "fail", "the history has schema 9999", "use the telltale that made it"},
		{"agents", "warn", "lost (last seen 10m", "telltale-agent runs"},
		{"agents", "warn", "off (connected, and has sent nothing for", "telltale-agent runs"},
		{"agents", "warn", "two machines with one agent id", "--id"},
		{"backup", "warn", "is 30.0 days old: /backups/old.tar", "telltale backup"},
	}
	var e examined
	missing := slices.Clone(want)
	for end := time.Now().Add(2 * time.Minute); len(missing) > 0; time.Sleep(time.Second) {
		e = in.doctor()
		missing = slices.DeleteFunc(slices.Clone(want), func(f struct{ check, verdict, seen, remedy string }) bool {
			return e.has(f.check, f.verdict, f.seen, f.remedy)
		})
		if time.Now().After(end) {
			t.Fatalf("the doctor does not name %+v, but says\n%s", missing, &e)
		}
	}
	if e.code != 2 {
		t.Errorf("exit code %d", e.code)
	}
	text, _ := in.runDoctor()
	t.Logf("for people:\n%s", text)

	// Nor does anything start on a schema of the future.
	hub.signal(syscall.SIGTERM)
	for _, command := range []string{"migrate", "serve"} {
		p := in.start("telltale", command, "--data", in.data)
		<-p.ended
		if said := p.output.String(); p.ProcessState.ExitCode() != 1 || !strings.Contains(said, "it has schema 9999") || !strings.Contains(said, "newer telltale") {
			t.Errorf("%s on a newer schema: exit code %d\n%s", command, p.ProcessState.ExitCode(), said)
		}
	}
}

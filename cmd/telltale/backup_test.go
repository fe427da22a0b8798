package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"telltale/aggregate/engine"
)

// asWriter runs a statement on the ClickHouse of the hub that runs.
func (in *installation) asWriter(statement string) {
	in.t.Helper()
	addresses, err := engine.RunningOn(in.data)
	if err != nil {
		in.t.Fatal(err)
	}
	options, err := clickhouse.ParseDSN(addresses.DSN)
	if err != nil {
		in.t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.Exec(context.Background(), statement); err != nil {
		in.t.Fatalf("%s: %v", statement, err)
	}
}

// contents are figures that tell any two histories apart. The hub's own samples go on, and so do the tiers, which
// follow from the rest: they are left out.
var contents = []string{
	"SELECT count(), sum(cityHash64(*)) FROM raw WHERE series IN (SELECT id FROM known_series WHERE agent != 'telltale')",
	"SELECT count(), sum(cityHash64(*)) FROM known_series FINAL WHERE agent != 'telltale'",
	"SELECT count(), sum(cityHash64(agent, start, end, count, reason)) FROM gaps WHERE agent != 'telltale'",
	"SELECT count(), sum(cityHash64(agent, labels, attributes, first_seen)) FROM agents WHERE agent != 'telltale'",
}

func (in *installation) contents(hub *process) []string {
	in.t.Helper()
	figures := make([]string, len(contents))
	for i, question := range contents {
		figures[i] = mustSQL(in.t, hub, question)
	}
	return figures
}

// backUpAndRestore copies what the installation holds into a new one, and compares. The hub must not take samples meanwhile.
func (in *installation) backUpAndRestore(hub *process) {
	t := in.t
	t.Helper()
	password := in.command("user", "create", "--data", in.data, "ada")
	before := in.contents(hub)
	file := filepath.Join(t.TempDir(), "copy.tar")
	t.Log(in.command("backup", "--data", in.data, file)) // while the hub runs
	if e := in.doctor(); !e.has("backup", "ok", "of everything", "") {
		t.Errorf("the doctor does not know of the backup:\n%s", &e)
	}
	again := exec.Command(filepath.Join(in.bin, "telltale"), "backup", "--data", in.data, file)
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "exists already") {
		t.Errorf("a second backup to the same file: %v\n%s", err, out)
	}
	hub.signal(syscall.SIGTERM)

	copied := &installation{t: t, bin: in.bin, data: filepath.Join(t.TempDir(), "restored"), listen: in.listen}
	t.Log(copied.command("restore", "--data", copied.data, file))
	restored := copied.startHub()
	for i, after := range copied.contents(restored) {
		if after != before[i] {
			t.Errorf("%s: %s before, %s after", contents[i], before[i], after)
		}
	}
	if status := copied.browser().signIn("ada", password); status != http.StatusNoContent {
		t.Errorf("sign-in after the restore: %d", status)
	}
	copied.startAgent()
	copied.awaitMore(restored, 2) // the token is known, and samples are stored behind the old ones
	onto := exec.Command(filepath.Join(in.bin, "telltale"), "restore", "--data", copied.data, file)
	if out, err := onto.CombinedOutput(); err == nil || !strings.Contains(string(out), "is not empty") {
		t.Errorf("a restore onto data: %v\n%s", err, out)
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	in := install(t)
	hub := in.startHub()
	agent := in.startAgent()
	in.awaitMore(hub, 5)
	agent.signal(syscall.SIGTERM)
	eventually(t, "the tiers are written", func() bool { return mustSQL(t, hub, "SELECT count() > 0 FROM samples_10s") == "1" })
	in.backUpAndRestore(hub)
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	in := install(t)
	for name, text := range map[string]string{"empty": "", "text": "hello", "tar.gz": "\x1f\x8b\x08"} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		restore := exec.Command(filepath.Join(in.bin, "telltale"), "restore", "--data", filepath.Join(t.TempDir(), "new"), file)
		if out, err := restore.CombinedOutput(); err == nil || !strings.Contains(string(out), errNoBackup.Error()) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

package engine

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

const loopback = "127.0.0.1"

//go:embed config.xml
var configXML string

//go:embed users.xml
var usersXML string

// folder is the engine's part of the data directory.
type folder string

func folderOf(dataDir string) folder { return folder(filepath.Join(dataDir, "clickhouse")) }

func (f folder) config() string { return filepath.Join(string(f), "config.xml") }
func (f folder) users() string  { return filepath.Join(string(f), "users.xml") }
func (f folder) log() string    { return filepath.Join(string(f), "clickhouse.log") }
func (f folder) store() string  { return filepath.Join(string(f), "store") }
func (f folder) backup() string { return filepath.Join(string(f), "backup") }

// writeConfig writes the engine's configuration anew: what stands there is the hub's, and
// an edit by hand would be lost with the next release anyway.
func (f folder) writeConfig(cfg Config, id identity) error {
	if err := os.MkdirAll(f.store(), 0o700); err != nil {
		return fmt.Errorf("make the engine's directory: %w", err)
	}
	values := struct {
		UsersFile, LogFile          string
		BackupFolder                string
		MemoryBytes                 int64
		Password, AnalystPassword   string // hashed
		AnalystGrants               []string
		AnalystMemoryBytes          int64
		WriterUser, AnalystUser, IP string
	}{
		UsersFile: f.users(), LogFile: f.log(), BackupFolder: f.backup(), MemoryBytes: cfg.MemoryBytes,
		Password: sha256Hex(id.Password), AnalystPassword: sha256Hex(id.AnalystPassword),
		AnalystGrants: cfg.AnalystReads, AnalystMemoryBytes: cfg.MemoryBytes / 2,
		WriterUser: WriterUser, AnalystUser: AnalystUser, IP: loopback,
	}
	for path, text := range map[string]string{f.config(): configXML, f.users(): usersXML} {
		written, err := execute(text, values)
		if err != nil {
			return fmt.Errorf("compose %s: %w", filepath.Base(path), err)
		}
		if err := writeFile(path, []byte(written)); err != nil {
			return err
		}
	}
	return nil
}

func execute(text string, values any) (string, error) {
	parsed, err := template.New("").Funcs(template.FuncMap{"xml": escapeXML}).Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = parsed.Execute(&out, values)
	return out.String(), err
}

func escapeXML(text string) (string, error) {
	var out strings.Builder
	err := xml.EscapeText(&out, []byte(text))
	return out.String(), err
}

func sha256Hex(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

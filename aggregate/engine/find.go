package engine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrNotFound is what Find returns when this machine has no engine; its text holds the remedy.
var ErrNotFound = errors.New("no ClickHouse engine found: run `make build` or `npm ci --prefix aggregate/engine`, " +
	"install the clickhouse program, name one with --engine PATH, or use a server with --clickhouse DSN")

const libraryName = "libchdb.so"

// Find returns the path of the engine: a libchdb.so, or a clickhouse program. The explicit
// path, unless empty, is a file of either kind or a folder that holds one, and nothing else
// is then looked at. Otherwise Find looks beside the executable, in the npm package of this
// repository, and on PATH; the error is ErrNotFound when none of them has it.
func Find(explicit string) (string, error) {
	if explicit != "" {
		return findExplicit(explicit)
	}
	var folders []string
	if executable, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(executable))
	}
	if len(folders) > 0 && isFile(filepath.Join(folders[0], libraryName)) {
		return filepath.Join(folders[0], libraryName), nil
	}
	if working, err := os.Getwd(); err == nil {
		folders = append(folders, working)
	}
	for _, folder := range folders {
		if library := findPackage(folder); library != "" {
			return library, nil
		}
	}
	if program, err := exec.LookPath("clickhouse"); err == nil {
		return filepath.Abs(program)
	}
	return "", ErrNotFound
}

func findExplicit(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the engine: %w", err)
	}
	for _, candidate := range []string{path, filepath.Join(path, libraryName), filepath.Join(path, "clickhouse")} {
		if isFile(candidate) {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("no ClickHouse engine at %s: --engine takes a %s, a clickhouse program, or a folder that holds one", path, libraryName)
}

// findPackage looks for the installed npm package in this folder's repository: upwards,
// because tests run in their package's folder and programs in bin.
func findPackage(folder string) string {
	name := filepath.Join("aggregate", "engine", "node_modules", "@chdb", platformPackage(), libraryName)
	for {
		if library := filepath.Join(folder, name); isFile(library) {
			return library
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return ""
		}
		folder = parent
	}
}

// platformPackage is the npm package's name for this platform, without its scope.
func platformPackage() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	name := "lib-" + runtime.GOOS + "-" + arch
	if runtime.GOOS == "linux" {
		name += "-gnu"
	}
	return name
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// isLibrary tells the two kinds of engine apart, as their loaders do: by name.
func isLibrary(path string) bool {
	return strings.HasSuffix(path, ".so") || strings.HasSuffix(path, ".dylib")
}

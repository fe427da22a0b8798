package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: 100 a second, on every machine that Go runs on.
const tick = time.Second / 100

// usage is what a process has used so far.
type usage struct {
	cpu     time.Duration // user and system, all threads
	started uint64        // ticks since the machine's start; tells a reused PID apart
}

// parseStat reads /proc/PID/stat. The second field is the program's name in parentheses,
// which may hold blanks and parentheses itself.
func parseStat(stat string) (usage, error) {
	_, rest, found := cutLast(stat, ")")
	fields := strings.Fields(rest)
	const user, system, started = 14 - 3, 15 - 3, 22 - 3 // numbered from 1, and two are cut off
	if !found || len(fields) <= started {
		return usage{}, errors.New("a stat file has too few fields")
	}
	var numbers [3]uint64
	for i, field := range []int{user, system, started} {
		n, err := strconv.ParseUint(fields[field], 10, 63)
		if err != nil {
			return usage{}, fmt.Errorf("field %d of a stat file: %w", field+3, err)
		}
		numbers[i] = n
	}
	return usage{cpu: time.Duration(numbers[0]+numbers[1]) * tick, started: numbers[2]}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// parseStatus reads the resident memory, now and at its highest, from /proc/PID/status.
func parseStatus(status string) (resident, peak int64, err error) {
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			resident, err = parseKilobytes(value)
		case "VmHWM":
			peak, err = parseKilobytes(value)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("%s of a status file: %w", name, err)
		}
	}
	if resident == 0 {
		return 0, 0, errors.New("a status file names no resident memory: the process is ending")
	}
	return resident, peak, nil
}

func parseKilobytes(value string) (int64, error) {
	number, found := strings.CutSuffix(strings.TrimSpace(value), " kB")
	if !found {
		return 0, fmt.Errorf("%q is not in kB", value)
	}
	kilobytes, err := strconv.ParseInt(number, 10, 53)
	return kilobytes << 10, err
}

// nameOf makes a name of a command line: the program, and its first argument where that is
// a subcommand, which tells the hub and its ClickHouse apart. No more, for tokens may follow.
func nameOf(cmdline []byte, comm string) string {
	args := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
	name := filepath.Base(args[0])
	if args[0] == "" {
		name = strings.TrimSpace(comm)
	}
	if len(args) > 1 && args[1] != "" && len(args[1]) <= 32 && !strings.ContainsAny(args[1], "/=") {
		name += " " + args[1]
	}
	return name
}

func procFile(pid int, name string) ([]byte, error) {
	return os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
}

func readUsage(pid int) (usage, error) {
	stat, err := procFile(pid, "stat")
	if err != nil {
		return usage{}, err
	}
	return parseStat(string(stat))
}

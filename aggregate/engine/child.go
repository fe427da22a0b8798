package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/ebitengine/purego"
)

// childArg is the hidden first argument that makes this program the engine's process.
const childArg = "run-embedded-clickhouse"

const commandLineSymbol = "chdb_query_cmdline"

// noticePrefix begins a line on the child's standard error that is the hub's, not ClickHouse's.
const noticePrefix = "engine notice: "

// RunChildIfAsked turns the process into the embedded ClickHouse when a hub started it for
// that, and then never returns. It must be the first statement of main, and of TestMain
// where tests start an engine: whatever ran before it would run in the engine's process too.
func RunChildIfAsked() {
	if len(os.Args) < 3 || os.Args[1] != childArg {
		return
	}
	// What confines the process confines a thread, and ClickHouse keeps state of its main thread in thread-local variables.
	runtime.LockOSThread()
	run := runProgram
	if isLibrary(os.Args[2]) {
		run = runLibrary
	}
	code, err := run(os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// runProgram becomes `clickhouse local`, with arguments. It returns only when that fails.
func runProgram(path string, args []string) (code int, err error) {
	confineOrSay(path)
	err = syscall.Exec(path, append([]string{"clickhouse", "local"}, args...), os.Environ())
	return 1, fmt.Errorf("run %s: %w", path, err)
}

// confineOrSay bars the engine from files that are not its own.
func confineOrSay(path string) {
	if err := confine(".", path); err != nil {
		fmt.Fprintf(os.Stderr, "%sanalysts can read every file that this engine can, because it is not confined to its own: %v\n", noticePrefix, err)
	}
}

// runLibrary runs the `clickhouse local` program that the library holds, with arguments, until its standard
// input ends, and returns its exit code.
func runLibrary(path string, args []string) (code int, err error) {
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return 1, fmt.Errorf("load the ClickHouse library %s: %w", path, err)
	}
	var commandLine func(argc int32, argv **byte) (result uintptr)
	entry, err := purego.Dlsym(library, commandLineSymbol)
	if err != nil {
		return 1, fmt.Errorf("%s is not the ClickHouse library: %w", path, err)
	}
	purego.RegisterFunc(&commandLine, entry)
	var resultError func(result uintptr) string
	purego.RegisterLibFunc(&resultError, library, "chdb_result_error")

	if err := surviveClients(path, commandLineSymbol, entry); err != nil {
		fmt.Fprintf(os.Stderr, "%sa client's wrong password can end this engine, because its error handler stays as it is: %v\n", noticePrefix, err)
	}
	confineOrSay(path)
	args = append([]string{"clickhouse-local"}, args...)
	argv := make([]*byte, len(args)+1) // ends with a null pointer
	for i, arg := range args {
		argv[i] = &append([]byte(arg), 0)[0]
	}
	result := commandLine(int32(len(args)), &argv[0])
	runtime.KeepAlive(argv)
	if message := resultError(result); message != "" {
		return 1, errors.New(message)
	}
	return 0, nil
}

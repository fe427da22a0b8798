package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"

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
	code, err := runLibrary(os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// runLibrary runs the `clickhouse local` program that the library holds, until its standard
// input ends, and returns its exit code. The arguments include the program's name.
func runLibrary(path string, args []string) (code int, err error) {
	// ClickHouse keeps state of its main thread in thread-local variables.
	runtime.LockOSThread()
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

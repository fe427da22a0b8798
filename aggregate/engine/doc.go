// Package engine runs the ClickHouse that the hub embeds: it finds the engine, starts it
// as a supervised child process that listens on loopback, restarts it when it dies, and
// sees to it that it leaves when the hub does, however the hub ends.
//
// The engine is `clickhouse local`, which serves the native protocol and HTTP while its
// standard input is open. The hub holds the other end of that pipe. Where the engine is a
// library rather than a program, the hub's own executable, started again with a hidden
// argument, is the child: see RunChildIfAsked.
package engine

package engine

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

// `clickhouse local` is not meant to serve: it installs an error handler that ends the
// process when an exception leaves a connection's thread. Over the native protocol a wrong
// password, an unknown database and a client that goes away in the middle of an answer are
// such exceptions. The server proper has a handler that lives on.
//
// surviveClients gives that handler the functions of its base class, which do nothing, by
// changing its table of virtual functions in memory; the connection is closed all the same.
// The tables are found by the class's name, which the C++ ABI keeps for every class with
// virtual functions: name <- type information (with the base class's) <- table. The address
// is that of the named symbol in the loaded library.
func surviveClients(library, symbol string, address uintptr) error {
	file, err := elf.Open(library)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	// The kernel lets a process write its own read-only pages through this file.
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = memory.Close() }()
	base, err := loadAddress(file, symbol, uint64(address))
	if err != nil {
		return err
	}
	name, err := findName(file.Section(".rodata"), "\x0019KillingErrorHandler\x00")
	if err != nil {
		return err
	}
	tables, err := readTables(memory, file.Section(".data.rel.ro"), base)
	if err != nil {
		return err
	}
	defer debug.FreeOSMemory() // some 20 MB were read, once, in a process that lives on

	nameAt, found := tables.find(0, base+name)
	if !found {
		return errors.New("its error handler has no type information")
	}
	handler := nameAt - 8
	parent := tables.word(handler + 16)
	from, fromFound := tables.virtualTable(parent)
	to, toFound := tables.virtualTable(handler)
	if !fromFound || !toFound {
		return errors.New("its error handler has no virtual functions")
	}
	// After two destructors: exception(Poco::Exception), exception(std::exception), exception().
	const offset, length = 2 * 8, 3 * 8
	functions := tables.bytes(from+offset, length)
	if functions == nil || bytes.Equal(functions[:8], make([]byte, 8)) {
		return errors.New("its base error handler has no functions")
	}
	_, err = memory.WriteAt(functions, int64(to+offset))
	return err
}

func loadAddress(file *elf.File, symbol string, address uint64) (uint64, error) {
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, err
	}
	for _, s := range symbols {
		if s.Name == symbol {
			return address - s.Value, nil
		}
	}
	return 0, fmt.Errorf("it has no symbol %s", symbol)
}

// findName returns the address, in the file's terms, of the text after its first byte. It
// reads the file rather than the memory, which would become resident.
func findName(section *elf.Section, text string) (uint64, error) {
	if section == nil {
		return 0, errors.New("it has no read-only data")
	}
	overlap := len(text) - 1
	chunk := make([]byte, 1<<20)
	for start := int64(0); start < int64(section.Size); start += int64(len(chunk) - overlap) {
		n, _ := section.ReadAt(chunk, start) // at the end of the section it reads less
		if i := bytes.Index(chunk[:n], []byte(text)); i >= 0 {
			return section.Addr + uint64(start) + uint64(i) + 1, nil
		}
	}
	return 0, errors.New("it has no such error handler")
}

// tables is the part of the library's memory that holds its tables of pointers.
type tables struct {
	start uint64
	data  []byte
}

func readTables(memory *os.File, section *elf.Section, base uint64) (tables, error) {
	if section == nil {
		return tables{}, errors.New("it has no tables")
	}
	t := tables{start: base + section.Addr, data: make([]byte, section.Size)}
	_, err := memory.ReadAt(t.data, int64(t.start))
	return t, err
}

// bytes returns nil for what is not in the tables.
func (t tables) bytes(address uint64, length int) []byte {
	offset := address - t.start // a smaller address makes this huge
	if offset > uint64(len(t.data)-length) {
		return nil
	}
	return t.data[offset : offset+uint64(length)]
}

func (t tables) word(address uint64) uint64 {
	word := t.bytes(address, 8)
	if word == nil {
		return 0
	}
	return binary.NativeEndian.Uint64(word)
}

// find returns where the tables hold this pointer, from an address on.
func (t tables) find(from, pointer uint64) (address uint64, found bool) {
	for address = max(from, t.start); address < t.start+uint64(len(t.data)); address += 8 {
		if t.word(address) == pointer {
			return address, true
		}
	}
	return 0, false
}

// virtualTable returns the first function's place in a class's table of virtual functions,
// which stands behind a zero and a pointer to the class's type information.
func (t tables) virtualTable(typeInformation uint64) (address uint64, found bool) {
	if typeInformation == 0 {
		return 0, false
	}
	for address, found = t.find(0, typeInformation); found; address, found = t.find(address+8, typeInformation) {
		if t.word(address-8) == 0 {
			return address + 8, true
		}
	}
	return 0, false
}

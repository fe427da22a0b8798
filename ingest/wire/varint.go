package wire

import "encoding/binary"

// zigzag maps small numbers of either sign to small unsigned ones.
func zigzag(n int64) uint64 { return uint64(n<<1) ^ uint64(n>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// column reads varints from one column of a batch. Reading past the end, or a varint that
// does not end, sets failed and yields zeros.
type column struct {
	rest   []byte
	failed bool
}

func (c *column) uvarint() uint64 {
	// Nine in ten numbers are one byte: this branch decides what a sample costs.
	if len(c.rest) > 0 && c.rest[0] < 0x80 {
		u := uint64(c.rest[0])
		c.rest = c.rest[1:]
		return u
	}
	u, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.failed, c.rest = true, nil
		return 0
	}
	c.rest = c.rest[n:]
	return u
}

func (c *column) varint() int64 { return unzigzag(c.uvarint()) }

func (c *column) fixed64() uint64 {
	if len(c.rest) < 8 {
		c.failed, c.rest = true, nil
		return 0
	}
	u := binary.LittleEndian.Uint64(c.rest)
	c.rest = c.rest[8:]
	return u
}

// complete says that the column was read without a fault and to its end.
func (c *column) complete() bool { return !c.failed && len(c.rest) == 0 }

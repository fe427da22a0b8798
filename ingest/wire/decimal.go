package wire

import (
	"encoding/binary"
	"math"
)

// Values travel as decimals, mantissa / 10^exponent, of which only the mantissa's change
// since the series' previous value is sent, one token (varint) per sample:
//
//	0            the value is the same as before
//	even t       the mantissa changes by unzigzag(t / 2)
//	odd t        t / 2 is the exponent from here on, and the mantissa follows (zigzag)
//	rawToken     the 8 bytes of a float64 follow; exponent and mantissa stay
const (
	maxExponent = 9
	rawToken    = 31<<1 | 1
)

// maxMantissa is the largest integer up to which float64 holds every one.
const maxMantissa = 1 << 53

var pow10 = [maxExponent + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// decimal is what both ends remember of a series on one connection. A hub holds millions,
// so what a mantissa leaves of eight bytes holds the rest.
type decimal struct {
	value float64
	state int64 // mantissa << stateBits | distributionBit | exponent
}

const (
	stateBits       = 8
	distributionBit = 1 << 7 // the series has bins instead of values
	exponentMask    = 1<<4 - 1
)

func newDecimal(kind Kind) (d decimal) {
	if kind == Distribution {
		d.state = distributionBit
	}
	return d
}

func (d *decimal) distribution() bool { return d.state&distributionBit != 0 }
func (d *decimal) exponent() uint8    { return uint8(d.state & exponentMask) }
func (d *decimal) mantissa() int64    { return d.state >> stateBits }

func (d *decimal) set(mantissa int64, exponent uint8) {
	d.state = mantissa<<stateBits | d.state&distributionBit | int64(exponent)
}

// append writes the token for v.
func (d *decimal) append(dst []byte, v float64) []byte {
	if math.Float64bits(v) == math.Float64bits(d.value) {
		return append(dst, 0)
	}
	d.value = v
	if m, ok := mantissa(v, d.exponent()); ok && m != d.mantissa() {
		dst = binary.AppendUvarint(dst, zigzag(m-d.mantissa())<<1)
		d.set(m, d.exponent())
		return dst
	}
	for e := range uint8(maxExponent + 1) {
		if m, ok := mantissa(v, e); ok {
			d.set(m, e)
			dst = append(dst, e<<1|1)
			return binary.AppendUvarint(dst, zigzag(m))
		}
	}
	return binary.LittleEndian.AppendUint64(append(dst, rawToken), math.Float64bits(v))
}

// mantissa returns v * 10^exponent if that is an integer from which v comes back bit by bit.
func mantissa(v float64, exponent uint8) (int64, bool) {
	scaled := math.RoundToEven(v * pow10[exponent])
	if !(math.Abs(scaled) <= maxMantissa) { // also false for NaN
		return 0, false
	}
	m := int64(scaled)
	return m, math.Float64bits(float64(m)/pow10[exponent]) == math.Float64bits(v)
}

// next reads one token and returns the value.
func (d *decimal) next(tokens *column) float64 {
	t := tokens.uvarint()
	if t == 0 {
		return d.value
	}
	m, e := d.mantissa(), d.exponent()
	switch {
	case t&1 == 0:
		m += unzigzag(t >> 1)
	case t>>1 <= maxExponent:
		m, e = tokens.varint(), uint8(t>>1)
	case t == rawToken:
		d.value = math.Float64frombits(tokens.fixed64())
		return d.value
	default:
		tokens.failed = true
	}
	if m > maxMantissa || m < -maxMantissa {
		tokens.failed = true
		return 0
	}
	d.set(m, e)
	d.value = float64(m) / pow10[e]
	return d.value
}

package aggregate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Expression is arithmetic between named queries: numbers, names, + - * / and parentheses.
type Expression struct {
	op          byte // '+', '-', '*', '/', or 'n' for a number, 'q' for a query
	number      float64
	query       string
	left, right *Expression
}

const (
	maxExpressionBytes = 1000
	maxExpressionDepth = 50
)

// ParseExpression reads an expression. Query names in it are letters, digits and "_", and do not begin with a digit.
func ParseExpression(text string) (*Expression, error) {
	if len(text) > maxExpressionBytes {
		return nil, fmt.Errorf("expression of %d bytes: the limit is %d", len(text), maxExpressionBytes)
	}
	p := &expressionParser{text: text}
	e, err := p.sum(0)
	if err != nil {
		return nil, err
	}
	if p.peek() != 0 {
		return nil, p.unexpected()
	}
	return e, nil
}

// Queries returns the names of the queries in the expression, sorted.
func (e *Expression) Queries() []string {
	var names []string
	e.walk(func(name string) { names = append(names, name) })
	slices.Sort(names)
	return slices.Compact(names)
}

func (e *Expression) walk(visit func(query string)) {
	switch e.op {
	case 'n':
	case 'q':
		visit(e.query)
	default:
		e.left.walk(visit)
		e.right.walk(visit)
	}
}

// Eval computes the expression. NaN stands for a missing value, and for what is divided by zero or too large.
func (e *Expression) Eval(value func(query string) float64) float64 {
	var v float64
	switch e.op {
	case 'n':
		return e.number
	case 'q':
		return value(e.query)
	case '+':
		v = e.left.Eval(value) + e.right.Eval(value)
	case '-':
		v = e.left.Eval(value) - e.right.Eval(value)
	case '*':
		v = e.left.Eval(value) * e.right.Eval(value)
	case '/':
		v = e.left.Eval(value) / e.right.Eval(value)
	}
	if math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

type expressionParser struct {
	text string
	pos  int
}

// peek skips blanks and returns the next byte, 0 at the end.
func (p *expressionParser) peek() byte {
	for p.pos < len(p.text) && (p.text[p.pos] == ' ' || p.text[p.pos] == '\t' || p.text[p.pos] == '\n') {
		p.pos++
	}
	if p.pos == len(p.text) {
		return 0
	}
	return p.text[p.pos]
}

func (p *expressionParser) unexpected() error {
	if p.peek() == 0 {
		return fmt.Errorf("expression %q ends too early", p.text)
	}
	return fmt.Errorf("expression %q: unexpected %q at byte %d: use names of queries, numbers, + - * / ( )", p.text, p.peek(), p.pos+1)
}

func (p *expressionParser) sum(depth int) (*Expression, error) {
	return p.chain(depth, '+', '-', p.product)
}

func (p *expressionParser) product(depth int) (*Expression, error) {
	return p.chain(depth, '*', '/', p.term)
}

// chain reads operands joined by either operator, which bind to the left.
func (p *expressionParser) chain(depth int, a, b byte, operand func(int) (*Expression, error)) (*Expression, error) {
	left, err := operand(depth)
	for err == nil && (p.peek() == a || p.peek() == b) {
		op := p.peek()
		p.pos++
		var right *Expression
		right, err = operand(depth)
		left = &Expression{op: op, left: left, right: right}
	}
	return left, err
}

func (p *expressionParser) term(depth int) (*Expression, error) {
	if depth == maxExpressionDepth {
		return nil, fmt.Errorf("expression is nested too deeply: the limit is %d", maxExpressionDepth)
	}
	switch c := p.peek(); {
	case c == '(':
		p.pos++
		e, err := p.sum(depth + 1)
		if err == nil && p.peek() != ')' {
			err = p.unexpected()
		}
		p.pos++
		return e, err
	case c == '-':
		p.pos++
		e, err := p.term(depth + 1)
		return &Expression{op: '-', left: &Expression{op: 'n'}, right: e}, err
	case isDigit(c) || c == '.':
		number, err := strconv.ParseFloat(p.take(func(c byte) bool { return isDigit(c) || c == '.' }), 64)
		if err != nil {
			return nil, fmt.Errorf("expression %q: %w", p.text, err)
		}
		return &Expression{op: 'n', number: number}, nil
	case isNameStart(c):
		return &Expression{op: 'q', query: p.take(func(c byte) bool { return isNameStart(c) || isDigit(c) })}, nil
	}
	return nil, p.unexpected()
}

func (p *expressionParser) take(belongs func(byte) bool) string {
	start := p.pos
	for p.pos < len(p.text) && belongs(p.text[p.pos]) {
		p.pos++
	}
	return p.text[start:p.pos]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isNameStart(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

package aggregate

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Op says how a matcher compares.
type Op string

// The ways to compare a label's value with a matcher's.
const (
	Equal    Op = "="
	NotEqual Op = "!="
	Like     Op = "=~" // the whole value matches the regular expression
	NotLike  Op = "!~"
)

// Matcher asks something of one label. A series without the label has the value "".
type Matcher struct {
	Label string
	Op    Op
	Value string // the text to equal, or a regular expression (RE2), which always matches whole values

	pattern *regexp.Regexp
}

const maxPatternBytes = 1000

// NewMatcher makes a matcher. The error says what is wrong with a regular expression.
func NewMatcher(label string, op Op, value string) (Matcher, error) {
	m := Matcher{Label: label, Op: op, Value: value}
	switch op {
	case Equal, NotEqual:
	case Like, NotLike:
		if len(value) > maxPatternBytes {
			return m, fmt.Errorf("regular expression of %d bytes: the limit is %d", len(value), maxPatternBytes)
		}
		pattern, err := regexp.Compile(Anchored(value))
		if err != nil {
			return m, fmt.Errorf("regular expression %q: %w", value, err)
		}
		m.pattern = pattern
	default:
		return m, fmt.Errorf("unknown comparison %q: use = != =~ !~", op)
	}
	return m, nil
}

// validate finds matchers that were put together by hand.
func (m Matcher) validate() error {
	made, err := NewMatcher(m.Label, m.Op, m.Value)
	switch {
	case err != nil:
		return err
	case m.Label == "":
		return errors.New("a label has a name")
	case (made.pattern == nil) != (m.pattern == nil):
		return errors.New("matcher was not made by NewMatcher")
	}
	return nil
}

// Anchored is the regular expression as it is matched: against a whole value, in which "." is any character.
func Anchored(expression string) string { return "^(?s:" + expression + ")$" }

// ParseMatcher reads the text form: "x" or "=x" for equality, "!=x", "=~expression" or "!~expression".
// A value that itself begins with "=" or "!" is written with "=" before it.
func ParseMatcher(label, text string) (Matcher, error) {
	for _, op := range []Op{NotEqual, Like, NotLike, Equal} {
		if value, found := strings.CutPrefix(text, string(op)); found {
			return NewMatcher(label, op, value)
		}
	}
	return NewMatcher(label, Equal, text)
}

// Text is the form that ParseMatcher reads.
func (m Matcher) Text() string {
	if m.Op == Equal && !strings.HasPrefix(m.Value, "=") && !strings.HasPrefix(m.Value, "!") {
		return m.Value
	}
	return string(m.Op) + m.Value
}

func (m Matcher) String() string { return m.Label + string(m.Op) + strconv.Quote(m.Value) }

// Matches says whether the series' label is as asked. The matcher must come from NewMatcher or ParseMatcher.
func (m Matcher) Matches(s *Series) bool {
	value := s.Label(m.Label)
	switch m.Op {
	case Equal:
		return value == m.Value
	case NotEqual:
		return value != m.Value
	case Like:
		return m.pattern.MatchString(value)
	default:
		return !m.pattern.MatchString(value)
	}
}

package wire

import (
	"fmt"
	"time"
)

// CloseCode is the status code of a WebSocket close frame.
type CloseCode int

// The codes a hub closes with. After 4000 to 4099 a client must not come back unchanged,
// or only after a long while; after 4100 to 4199 it comes back with back-off.
const (
	InvalidText        CloseCode = 1007 // a text message is not UTF-8
	TooBig             CloseCode = 1009 // a message exceeds Limits.FrameBytes, perhaps once decompressed
	BadFrame           CloseCode = 4000 // a message that is no frame, or the wrong one at this point
	Unauthorized       CloseCode = 4001 // no token, an unknown one, or one that was revoked
	UnsupportedVersion CloseCode = 4002 // the client does not offer Subprotocol
	HelloTimeout       CloseCode = 4003 // no hello within ten seconds
	OutOfOrder         CloseCode = 4004 // a seq was skipped or sent twice on one connection
	StaleSeq           CloseCode = 4005 // a seq at or below what welcome said is stored
	ClockSkew          CloseCode = 4006 // the clocks are more than a minute apart
	LimitExceeded      CloseCode = 4007 // a limit of welcome that has no reason of its own
	DuplicateAgent     CloseCode = 4008 // two machines have the same agent id
	GoingAway          CloseCode = 4100 // the hub stops or restarts
	Overloaded         CloseCode = 4101 // the hub cannot take more now; the error frame says when to come back
	TakenOver          CloseCode = 4102 // a newer connection of the same agent
	SlowReader         CloseCode = 4103 // the client does not read what the hub sends
	IdleTimeout        CloseCode = 4104 // nothing was heard from the client, not even a pong
)

var closeNames = map[CloseCode]string{
	InvalidText: "invalid_text", TooBig: "too_big",
	BadFrame: "bad_frame", Unauthorized: "unauthorized", UnsupportedVersion: "unsupported_version",
	HelloTimeout: "hello_timeout", OutOfOrder: "out_of_order", StaleSeq: "stale_seq",
	ClockSkew: "clock_skew", LimitExceeded: "limit_exceeded",
	DuplicateAgent: "duplicate_agent",
	GoingAway:      "going_away", Overloaded: "overloaded", TakenOver: "taken_over",
	SlowReader: "slow_reader", IdleTimeout: "idle_timeout",
}

// String is the code's name, as error frames and metrics spell it.
func (c CloseCode) String() string {
	if name, ok := closeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("code_%d", int(c))
}

// Final says that coming back unchanged would end the same way.
func (c CloseCode) Final() bool {
	return c >= 4000 && c < 4100 || c == InvalidText || c == TooBig
}

// CloseError is why a connection is closed.
type CloseError struct {
	Code       CloseCode
	Message    string
	RetryAfter time.Duration // when to come back; zero is the client's own back-off
}

// Closef makes a CloseError.
func Closef(code CloseCode, format string, args ...any) *CloseError {
	return &CloseError{Code: code, Message: fmt.Sprintf(format, args...)}
}

func (e *CloseError) Error() string { return e.Code.String() + ": " + e.Message }

// CloseCodeOf returns the code with this name, 0 for one that a newer hub may know.
func CloseCodeOf(name string) CloseCode {
	for code, n := range closeNames {
		if n == name {
			return code
		}
	}
	return 0
}

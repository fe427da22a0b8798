package wire

import "time"

// Frame is one message of the protocol: *Hello, *Welcome, *Batch, *Columns, *Ack, *Gap,
// *Notice, *Config, *Slow or *Error.
type Frame interface{ frameType() string }

// Hello is an agent's first frame.
type Hello struct {
	Token    string // empty where the Authorization header carried it
	Agent    Agent
	Epochs   []string      // the epochs the agent holds; none: the hub makes one for the connection
	Interval time.Duration // between two samples of a series; zero is one second
	Time     int64         // the agent's clock in milliseconds since the Unix epoch; 0 is not given
}

// Welcome answers a hello.
type Welcome struct {
	Session    string
	Epochs     map[string]uint64 // how far each epoch is stored; sending goes on from there
	ServerTime int64             // the hub's clock in milliseconds since the Unix epoch
	Limits     Limits
	LiveOnly   bool // as in Slow; of epochs that are missing in Epochs, an ack before its end tells
}

// Batch is the samples of one tick as the sending side holds them.
type Batch struct {
	Epoch   string // empty in JSON: the epoch the hub made for the connection
	Seq     uint64 // contiguous from 1 within the epoch
	Samples []Sample
}

// Ack says that an epoch is stored up to and including Seq.
type Ack struct {
	Epoch   string
	Seq     uint64
	Refused []Refused // samples of the batches this ack passes that were refused by rule
	Unnamed uint64    // how many more were refused than Refused lists
}

// Refused names one sample that was not stored.
type Refused struct {
	Seq    uint64
	Index  int // in the batch's samples
	Reason Reason
}

// Gap declares batches that will never come. It takes their place in the sequence.
type Gap struct {
	Epoch      string
	Seq, ToSeq uint64 // first and last lost batch
	From, To   int64  // their time range in milliseconds since the Unix epoch
	Count      uint64 // samples lost
	Reason     string
}

// Notice is a message from the hub's operator to those who run agents.
type Notice struct{ Level, Text string }

// Config changes how often an agent samples.
type Config struct{ Interval time.Duration }

// Slow changes how much an agent may have unacknowledged. LiveOnly: samples are shown
// but not stored for the time being; keep them and go on sending new ones.
type Slow struct {
	MaxInFlight int
	LiveOnly    bool
}

// Error says why the hub closes; a close code follows.
type Error struct {
	Code       string // the close code's name
	Message    string
	RetryAfter time.Duration // when to come back; zero is the client's own back-off
}

func (*Hello) frameType() string   { return "hello" }
func (*Welcome) frameType() string { return "welcome" }
func (*Batch) frameType() string   { return "batch" }
func (*Ack) frameType() string     { return "ack" }
func (*Gap) frameType() string     { return "gap" }
func (*Notice) frameType() string  { return "notice" }
func (*Config) frameType() string  { return "config" }
func (*Slow) frameType() string    { return "slow" }
func (*Error) frameType() string   { return "error" }

// Package ingest is the agents' door: a WebSocket server that admits agents, checks and
// decodes what they send, hands it to a Sink, and acknowledges what is stored.
// docs/protocol.md is the reference of what it speaks.
package ingest

import (
	"context"
	"errors"

	"telltale/ingest/wire"
)

// ErrFull is what Sink.Take returns when the bound on unstored samples is reached.
var ErrFull = errors.New("the bound on unstored samples is reached")

// Batch is the samples of one tick of one agent, as columns of equal length. It is
// read-only from the moment it is taken.
type Batch struct {
	Agent string
	Epoch string
	Seq   uint64 // contiguous from 1 within an epoch

	Series []uint64
	TS     []int64 // milliseconds since the Unix epoch
	Value  []float64
	N      []uint32 // 1, or the number of values in a distribution's bin
}

// Gap is what an agent declares lost: its batches from Seq to ToSeq will never come. It
// takes their place in the epoch.
type Gap struct {
	Agent, Epoch string
	Seq, ToSeq   uint64 // first and last lost batch
	From, To     int64  // their time range in milliseconds since the Unix epoch
	Count        uint64 // samples lost
	Reason       string
}

// Stored says that an epoch of an agent is stored up to and including Seq.
type Stored struct {
	Agent string
	Epoch string
	Seq   uint64

	// Quarantined says that the batch Seq is not stored but set aside, because storage
	// cannot take it, and counts as passed.
	Quarantined bool
}

// Sink takes what passes the door. All methods are called from many goroutines.
type Sink interface {
	// Series returns the id of the series, making it known. An error that is a
	// wire.Reason refuses the samples of the series; any other closes the connection.
	Series(s wire.Series) (uint64, error)

	// Detach says that ids of the agent's series given out before are not used any more: it describes
	// its series anew, on a new connection or because it has sent a reset.
	Detach(agent string)

	// Admit says how far each epoch of the agent is stored, and takes batches of the agent
	// from then on. It may take as long as a query; an error means that storage cannot
	// answer yet, and is asked again.
	Admit(ctx context.Context, a wire.Agent) (map[string]uint64, error)

	// Take accepts a batch for storing; Server.Stored is called once it is stored. ErrFull
	// lets the agent keep it and send it again later. Batches of one epoch arrive in order
	// and without holes. Take does not show the batch: Live does.
	Take(b *Batch) error

	// TakeGap accepts a gap in the place of its batches, as Take does a batch; Server.Stored
	// with a Seq of ToSeq or more acknowledges it.
	TakeGap(g *Gap) error

	// Live updates the live state by a batch. It is called once for each batch at most,
	// after Take, or without it while storage cannot keep up; that batch comes to Take later.
	Live(b *Batch)

	// Fill is the share of the bound on unstored samples that is used, 0 to 1, where those of the
	// agent go. It is called for every batch, so it must be cheap.
	Fill(agent string) float64

	// Forget says that the agent has left and that nothing of it is pending. It must
	// neither block nor call the Server.
	Forget(agent string)
}

// Tokens knows the agents' tokens.
type Tokens interface {
	// Agent returns the id under which a token is known, the one Server.Revoke takes.
	Agent(ctx context.Context, token string) (id string, ok bool, err error)
}

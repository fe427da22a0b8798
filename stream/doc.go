// Package stream sends events to many viewers over Server-Sent Events. It knows
// topics, frames and bytes, not metrics.
//
// # What a viewer sees
//
// A stream is a text/event-stream that begins with "retry" and "hello". Then it holds
//
//	snapshot  the whole state of the topic as of its id; sent to whoever joins, and
//	          to whoever fell behind
//	tick      what changed since the previous tick
//	gap       {"from":F,"to":T,"reason":R}: the ticks with ids after F and up to T
//	          cannot be given; a snapshot follows. R is ring (the topic's memory does
//	          not reach back that far, nor does its past), restart (it begins later) or
//	          conflated (the viewer was too slow for them)
//	bye       {"reason":R}: the stream ends now
//
// and any event sent by [Topic.Notice]. Ids are times in milliseconds, they only grow,
// and they mean the same on every hub. A viewer that comes back with Last-Event-ID (or
// last_event_id in the query) gets the ticks after it, or a snapshot that reaches back to
// it, or gap and snapshot; never a tick twice, never fewer without a gap. A block that holds only an id is a heartbeat.
//
// # What a viewer costs
//
// A frame is encoded once and compressed once, and the same bytes go to all: on the
// compressed streams every frame is deflated alone, behind a constant gzip header. An
// idle viewer on a plain TCP connection holds a descriptor and a few hundred bytes, no
// goroutine and no buffer: one writer for each CPU pushes a frame to its share of the
// viewers without ever waiting for one. A viewer that does not take a frame at once gets
// the rest when its socket is ready again, and a snapshot instead of ticks when it has
// fallen behind by several. A TLS connection, or another system than Linux, takes two
// goroutines a viewer.
package stream

package history

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/aggregate"
)

// Reader answers queries from what is stored. Its methods may be called at the same time, and end when their context
// does, in ClickHouse too.
//
// It runs a few statements at once; the others wait for their turn, a thousand at most, and more are refused as busy.
type Reader struct {
	conn    driver.Conn
	config  ReaderConfig
	tables  []table
	turns   chan struct{} // one for each statement that runs
	flights flights
	cache   *cache
	metrics *readerMetrics
}

// NewReader returns a reader of the database of o, which Migrate has prepared.
func NewReader(o *clickhouse.Options, config ReaderConfig, reg prometheus.Registerer) (*Reader, error) {
	conn, err := clickhouse.Open(readerOptions(o))
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	m := newReaderMetrics(reg)
	return &Reader{
		conn:    conn,
		config:  config,
		tables:  config.tables(),
		turns:   make(chan struct{}, maxReads),
		flights: flights{shared: m.shared, byKey: map[string]*flight{}},
		cache:   newCache(m.kept),
		metrics: m,
	}, nil
}

func readerOptions(o *clickhouse.Options) *clickhouse.Options {
	own := *o
	own.Compression = compressionTo(o.Addr)
	own.DialTimeout = 5 * time.Second
	own.MaxOpenConns = maxReads
	own.MaxIdleConns = maxReads
	own.Settings = clickhouse.Settings{
		"readonly":         2, // reads only, and may set these limits; the driver adds one of time, from the deadline
		"max_memory_usage": memoryBytes,
		// They pay where a join drops most rows; ours drop none, since rows are selected by id before.
		"enable_join_runtime_filters": 0,
		// Versions of a row are in the same partition, since it is made of the row's key.
		"do_not_merge_across_partitions_select_final": 1,
		// Of a shard's replicas the first is asked while it is there: the one that is written to, whose tiers are told of.
		"load_balancing": "in_order",
	}
	return &own
}

// Close ends what is running and waits for it. Calls that come later fail.
func (r *Reader) Close() error {
	r.flights.close()
	return r.conn.Close()
}

// Request asks queries together, so that there can be arithmetic between them.
type Request struct {
	Queries map[string]aggregate.Query // by name; their own steps do not count

	// The windows of the answer are those that end after From and not after To, both in ms since the epoch: the To of
	// one request is the From of the next. Of windows that have not closed yet, and of the newest until their samples
	// are stored, it tells what is there.
	From, To int64
	Step     aggregate.Step // grows where the range reaches further back than what it needs is kept
}

// Answer is what the queries give, the same numbers as live.
type Answer struct {
	Step    aggregate.Step
	Ends    []int64                      // the windows' ends in ms, oldest first
	Results map[string]aggregate.Columns // by query: values by group and window, NaN where missing; read-only
}

// Query answers a request. Top groups are those of the whole range, best first; other groups are sorted. A metric that
// nobody has sent is one without samples.
//
// Errors of a query are *aggregate.QueryError, those of a request that asks for too much *LimitError.
func (r *Reader) Query(ctx context.Context, request Request) (Answer, error) {
	if slices.Contains(aggregate.Steps, request.Step) {
		request.Step = stepFor(r.tables, request.Step, request.From, time.Now().UnixMilli())
	}
	queries, err := request.queries()
	if err != nil {
		return Answer{}, err
	}
	windows, err := request.windows()
	if err != nil {
		return Answer{}, err
	}
	a := answering{reader: r, windows: windows, queries: queries, results: map[string]aggregate.Columns{}}
	if err := a.each(ctx, false, a.metric); err != nil {
		return Answer{}, err
	}
	if err := a.each(ctx, true, a.formula); err != nil {
		return Answer{}, err
	}
	return Answer{Step: request.Step, Ends: windows.ends(), Results: a.results}, nil
}

// tierStates is what the tiers can tell at present.
func (r *Reader) tierStates() []TierState {
	if r.config.Tiers == nil {
		return nil
	}
	return r.config.Tiers()
}

// queries are the request's, valid, normal, and of its step.
func (r Request) queries() (map[string]aggregate.Query, error) {
	if len(r.Queries) > maxQueries {
		return nil, limited(CodeTooManyQueries, "the request has %d queries: the limit is %d", len(r.Queries), maxQueries)
	}
	queries := make(map[string]aggregate.Query, len(r.Queries))
	for name, q := range r.Queries {
		q.Step = r.Step
		queries[name] = q.Normal()
	}
	if !slices.Contains(aggregate.Steps, r.Step) {
		_, err := aggregate.ParseStep(r.Step.String())
		return nil, &aggregate.QueryError{Key: "step", Err: err}
	}
	return queries, aggregate.ValidateQueries(queries)
}

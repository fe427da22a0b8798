package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go"

	"telltale/aggregate/engine"
	"telltale/aggregate/history"
	"telltale/dashboard/store"
)

// facts are those of every hub that answers, or what can be seen without one. The error is that ctx has ended, or that a
// flag is wrong.
func (c *doctorCommand) facts(ctx context.Context, log *slog.Logger) ([]*facts, error) {
	answers, err := c.ask(ctx, log)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	if len(answers) > 0 {
		return answers, nil
	}
	f := &facts{
		received: time.Now(), HubGone: err.Error(), Machine: gatherMachine(c.Data, c.Engine, c.Clickhouse != ""), MinFreeBytes: uint64(max(0, c.MinFree)),
		Kept: keptBy(c.RetentionRaw, c.Retention10s, c.Retention1m, c.Retention1h),
	}
	options, locked, wrong := c.clickhouseWithoutHub(log)
	switch {
	case errors.Is(err, store.ErrNoHub) && locked:
		f.HubGone = fmt.Sprintf("the hub on %s cannot be asked there: name its NATS with --nats", c.Data)
	case errors.Is(err, store.ErrNoHub):
		f.HubGone = store.ErrNoHub.Error()
	}
	if wrong != nil {
		return nil, wrong
	}
	if options != nil {
		ctx, cancel := context.WithTimeoutCause(ctx, examineTimeout, fmt.Errorf("no answer within %v", examineTimeout))
		defer cancel()
		f.examine(ctx, options, c.ClickhouseCluster)
	}
	return []*facts{f}, nil
}

// clickhouseWithoutHub is the ClickHouse that can be asked though no hub answers: the outside one, or that of a hub that runs
// and does not answer. locked says that there is such a hub.
func (c *doctorCommand) clickhouseWithoutHub(log *slog.Logger) (options *clickhouse.Options, locked bool, err error) {
	addresses, none := engine.RunningOn(c.Data)
	locked = addresses != nil || none != nil // the error is that the hub has no ClickHouse of its own
	switch {
	case c.Clickhouse != "":
		options, err = c.options(log)
	case addresses != nil:
		options, err = parseDSN(addresses.DSN)
	}
	return options, locked, err
}

// examine asks ClickHouse, on a cluster that is named all shards.
func (f *facts) examine(ctx context.Context, o *clickhouse.Options, cluster string) {
	var err error
	if f.History, err = history.ExamineAll(ctx, o, cluster); err != nil {
		f.HistoryError = err.Error()
	}
}

// errNoAnswer says that there is a hub, or was a moment ago.
var errNoAnswer = errors.New("the hub does not answer")

// ask returns the facts of all hubs that answer. With none the error says why.
func (c *doctorCommand) ask(ctx context.Context, log *slog.Logger) ([]*facts, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if c.Nats == "" {
		nc, err := store.DialData(c.Data, log)
		if err != nil {
			return nil, err
		}
		defer nc.Close()
		return askHubs(ctx, nc, 1)
	}
	nc, err := store.Dial(c.Nats, log)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	return askHubs(ctx, nc, maxHubs)
}

const (
	maxHubs = 1000
	// othersTimeout is how long more hubs are waited for after one has answered: they were all asked at once.
	othersTimeout = 3 * time.Second
)

// askHubs asks all hubs, and returns once so many have answered, or no more come.
func askHubs(ctx context.Context, nc *nats.Conn, most int) ([]*facts, error) {
	inbox := nc.NewRespInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	if err := nc.PublishRequest(doctorSubject, inbox, nil); err != nil {
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	first, err := nextFacts(ctx, answers)
	if err != nil {
		return nil, err
	}
	all := []*facts{first}
	ctx, cancel := context.WithTimeout(ctx, othersTimeout)
	defer cancel()
	for len(all) < most {
		another, err := nextFacts(ctx, answers)
		if err != nil {
			break // no more come, or one of another version, which is best asked with its own doctor
		}
		all = append(all, another)
	}
	return all, nil
}

// nextFacts waits for a hub's answer.
func nextFacts(ctx context.Context, answers *nats.Subscription) (*facts, error) {
	answer, err := answers.NextMsgWithContext(ctx)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: it is starting, or of a version without a doctor", errNoAnswer)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w within %v", errNoAnswer, answerTimeout)
	case err != nil:
		return nil, fmt.Errorf("ask the hub: %w", err)
	}
	f := &facts{received: time.Now()}
	if err := json.Unmarshal(answer.Data, f); err != nil {
		return nil, fmt.Errorf("read the hub's answer with version %s: %w", version, err)
	}
	if f.Hub == nil {
		return nil, fmt.Errorf("%w in a form that version %s knows", errNoAnswer, version)
	}
	return f, nil
}

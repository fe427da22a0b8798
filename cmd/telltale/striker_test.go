package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// striker strikes a fleet. Blows at different targets overlap; one that would hit a target which still
// suffers from another is left out.
type striker struct {
	*fleet
	proxy   *proxy
	history driver.Conn
	began   time.Time
	blows   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	busy     map[string]bool
	did      map[string]int // by kind
	diary    []string
	failures []string
	deaths   [][]death // by agent
}

// death is an unclean end of an agent.
type death struct {
	from, to time.Time // until it was started again
	damage   bool      // its spool was damaged meanwhile
}

func newStriker(f *fleet, p *proxy, history driver.Conn) *striker {
	return &striker{
		fleet: f, proxy: p, history: history, began: time.Now(), busy: make(map[string]bool), did: make(map[string]int), deaths: make([][]death, len(f.agents)),
	}
}

// run strikes until the time is over or so many kills are done, whichever is last, and everything is undone.
func (d *striker) run(s *schedule, lasting time.Duration, kills int) {
	for time.Since(d.began) < lasting || d.kills() < kills {
		b := s.next()
		time.Sleep(b.after)
		d.revive()
		d.strike(b)
	}
	d.blows.Wait()
	d.revive()
}

func (d *striker) kills() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.did[agentKill] + d.did[hubKill] + d.did[engineKill]
}

// note writes to the diary, which is what a failure is understood by.
func (d *striker) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.diary = append(d.diary, fmt.Sprintf("%s %6.2f s: ", time.Now().UTC().Format("15:04:05.000"), time.Since(d.began).Seconds())+fmt.Sprintf(format, args...))
}

func (d *striker) fail(format string, args ...any) {
	d.note(format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failures = append(d.failures, fmt.Sprintf(format, args...))
}

// claim makes the target the caller's; false: it is another's.
func (d *striker) claim(target string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy[target] {
		return false
	}
	d.busy[target] = true
	return true
}

func (d *striker) release(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.busy, target)
}

// revive starts a hub again that has ended by itself, as a service manager would: it may, when its
// ClickHouse is killed before it has ever answered. An agent has no such excuse.
func (d *striker) revive() {
	if d.claim("hub") {
		if !d.hub.running() {
			d.note("the hub had ended by itself")
			d.count("hub ended by itself")
			d.start(d.hub)
		}
		d.release("hub")
	}
	for _, m := range d.agents {
		if d.claim(m.id) {
			if !m.process.running() {
				d.fail("%s had ended by itself: %s", m.id, m.process.lastWords(1))
				d.start(m.process)
			}
			d.release(m.id)
		}
	}
}

func (d *striker) start(p *program) {
	if err := p.start(); err != nil {
		d.fail("%v", err)
	}
}

func (d *striker) count(kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.did[kind]++
}

// strike begins a blow.
func (d *striker) strike(b blow) {
	target, hit := d.aim(b)
	if hit == nil || !d.claim(target) {
		return
	}
	d.count(b.kind)
	d.note("%v", b)
	d.blows.Go(func() {
		defer d.release(target)
		hit()
	})
}

// aim returns whom a blow hits, and how; nil: there is nobody to hit now.
func (d *striker) aim(b blow) (target string, hit func()) {
	member := d.agents[b.agent]
	switch b.kind {
	case agentKill:
		return member.id, func() { d.killAgent(b) }
	case agentStop:
		return member.id, func() { pause(member.process.signal, b.lasting) }
	case agentRestart:
		return member.id, func() { d.restart(member.process, b) }
	case hubKill:
		return "hub", func() { d.killHub(b) }
	case hubStop:
		return "hub", func() { pause(d.hub.signal, b.lasting) }
	case hubRestart:
		return "hub", func() { d.restart(d.hub, b) }
	}
	if b.kind == engineKill || b.kind == engineStop {
		pid := engineOf(d.hub)
		signal := func(s syscall.Signal) { _ = syscall.Kill(pid, s) } // one that has ended needs none
		switch {
		case pid == 0:
			return "", nil
		case b.kind == engineKill:
			return "clickhouse", func() {
				d.awaitInsert(b)
				signal(syscall.SIGKILL)
			}
		default:
			return "clickhouse", func() { pause(signal, b.lasting) }
		}
	}
	l := d.proxy.pick(b.agent)
	switch {
	case l == nil:
		return "", nil
	case b.kind == cutLink:
		return "link", func() { l.halves[b.half].left.Store(b.bytes) }
	default:
		return "link", func() { l.stalled.Store(time.Now().Add(b.lasting).UnixNano()) }
	}
}

// awaitInsert waits for an insert to run, where the blow is to fall into one: a second or two, for the hub may have
// nothing to store, or its ClickHouse be away.
func (d *striker) awaitInsert(b blow) {
	if !b.insert {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		var table string
		err := d.history.QueryRow(ctx, `SELECT splitByChar('-', query_id)[5] FROM system.processes WHERE startsWith(query_id, 'telltale-insert-') LIMIT 1`).Scan(&table)
		if err == nil {
			d.count("in an insert")
			d.note("%s falls into an insert into %s", b.kind, table)
			return
		}
	}
}

func pause(signal func(syscall.Signal), lasting time.Duration) {
	signal(syscall.SIGSTOP)
	time.Sleep(lasting)
	signal(syscall.SIGCONT)
}

func (d *striker) restart(p *program, b blow) {
	if code := p.end(syscall.SIGTERM); code != 0 && p != d.hub { // a hub whose ClickHouse is away cannot store its last
		d.fail("an orderly stop of %s ends with exit code %d", p.name, code)
	}
	time.Sleep(b.lasting)
	d.start(p)
}

func (d *striker) killHub(b blow) {
	d.awaitInsert(b)
	d.hub.end(syscall.SIGKILL)
	time.Sleep(b.lasting / 2)
	d.start(d.hub)
}

func (d *striker) killAgent(b blow) {
	m := d.agents[b.agent]
	dead := death{from: time.Now()}
	m.process.end(syscall.SIGKILL)
	if b.damage != "" {
		dead.damage = d.damage(m, b)
	}
	time.Sleep(b.lasting)
	d.start(m.process)
	dead.to = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deaths[b.agent] = append(d.deaths[b.agent], dead)
}

// damage truncates or flips bytes at the tail of the newest segment of a dead agent's spool.
func (d *striker) damage(m *member, b blow) bool {
	path, size := newestSegment(m.dir)
	tail := min(b.bytes, size)
	if tail == 0 {
		return false
	}
	d.note("%s %d of %d bytes of %s", b.damage, tail, size, filepath.Base(path))
	if b.damage == truncateSpool {
		if err := os.Truncate(path, size-tail); err != nil {
			d.fail("truncate a segment: %v", err)
		}
		return true
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		d.fail("open a segment: %v", err)
		return false
	}
	defer func() { _ = file.Close() }()
	random := rand.New(rand.NewPCG(b.seed, 1))
	for range 1 + random.IntN(3) {
		at := size - 1 - random.Int64N(tail)
		var one [1]byte
		_, err := file.ReadAt(one[:], at)
		one[0] ^= byte(1 + random.IntN(255))
		if _, writeErr := file.WriteAt(one[:], at); err != nil || writeErr != nil {
			d.fail("flip a byte of a segment: %v, %v", err, writeErr)
		}
	}
	return true
}

func newestSegment(dir string) (path string, size int64) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		return "", 0
	}
	var newest time.Time
	for _, candidate := range paths {
		if info, err := os.Stat(candidate); err == nil && info.ModTime().After(newest) {
			path, size, newest = candidate, info.Size(), info.ModTime()
		}
	}
	return path, size
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"telltale/stream"
)

// studio is the hub's real stream behind a real listener, with a sign-in of its own, that
// sends a tick every 100 ms.
type studio struct {
	url   string
	hub   *stream.Hub
	topic *stream.Topic

	mu sync.Mutex // guards what follows
	id int64
}

const stepMS = 100

func startStudio(t *testing.T, configure ...func(*stream.Config)) *studio {
	t.Helper()
	config := stream.DefaultConfig()
	config.Retry = 50 * time.Millisecond
	config.RingFrames = 600 // a minute, for slow machines
	for _, c := range configure {
		c(&config)
	}
	hub, err := stream.Open(config, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &studio{hub: hub}
	s.topic = hub.NewTopic(s.keyframe, nil)
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/api/v1/login", func(c *fiber.Ctx) error {
		var given struct{ User, Password string }
		if err := json.Unmarshal(c.Body(), &given); err != nil || given.User != "admin" || given.Password != "right" {
			return fiber.NewError(fiber.StatusUnauthorized, "wrong user name or password")
		}
		c.Cookie(&fiber.Cookie{Name: "telltale", Value: "session", HTTPOnly: true})
		return c.SendStatus(fiber.StatusNoContent)
	})
	app.Get("/api/v1/stream", func(c *fiber.Ctx) error {
		if c.Cookies("telltale") != "session" {
			return fiber.NewError(fiber.StatusUnauthorized, "sign in first")
		}
		if c.Query("dashboard") != "overview" {
			return fiber.NewError(fiber.StatusNotFound, "no such dashboard")
		}
		s.hub.Serve(c.Context(), stream.Request{Topic: s.topic, Session: "key", User: "admin", Hello: fmt.Appendf(nil, `{"version":1,"step_ms":%d}`, stepMS)})
		return nil
	})
	s.url = "http://" + serve(t, app, func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := hub.Close(ctx); err != nil {
			t.Errorf("closing the stream: %v", err)
		}
	})
	s.broadcast(t)
	return s
}

func (s *studio) keyframe(context.Context) stream.Keyframe {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == 0 {
		return stream.Keyframe{}
	}
	return stream.Keyframe{ID: s.id, Since: s.id - stepMS, Data: fmt.Appendf(nil, `{"end":%d,"since":%d}`, s.id, s.id)}
}

// broadcast publishes until the test ends.
func (s *studio) broadcast(t *testing.T) {
	done := make(chan struct{})
	var published sync.WaitGroup
	published.Go(func() {
		for {
			id := time.Now().UnixMilli() / stepMS * stepMS
			select {
			case <-time.After(time.Until(time.UnixMilli(id + stepMS))):
			case <-done:
				return
			}
			s.mu.Lock()
			later := id+stepMS > s.id
			s.id = max(s.id, id+stepMS)
			s.mu.Unlock()
			if !later {
				continue
			}
			if err := s.topic.Publish(id+stepMS, fmt.Appendf(nil, `{"end":%d}`, id+stepMS)); err != nil {
				t.Errorf("publishing: %v", err)
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		published.Wait()
	})
}

func runViewers(t *testing.T, s *studio, more ...string) (code int, r viewersReport, complaint string) {
	t.Helper()
	args := []string{"viewers", "--hub", s.url, "--password", "right", "--viewers", "20", "--ramp", "50ms", "--duration", "700ms", "--delay", "0s", "--json"}
	code, out, complaint := command(t.Context(), append(args, more...)...)
	if out == "" {
		return code, r, complaint
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %v\n%s\n%s", args, err, out, complaint)
	}
	return code, r, complaint
}

func TestViewers(t *testing.T) {
	code, r, complaint := runViewers(t, startStudio(t))
	if r.Viewers != 20 || r.Connected != 20 || r.Connections != 20 || len(r.Refused) > 0 || len(r.Disconnects) > 0 {
		t.Errorf("exit code %d, figures %+v: %s", code, r, complaint)
	}
	if r.Ticks < 20 || r.Snapshots < 20 || r.MissedWindows != 0 || r.RepeatedWindows != 0 {
		t.Errorf("events: %+v", r)
	}
	if r.MeasuredSeconds < 0.7 || r.EventsPerSecond <= 0 || r.BytesPerEvent < 40 || r.Latency.Count == 0 || r.Latency.Max < r.Latency.P50 {
		t.Errorf("measured: %+v", r)
	}
	if !strings.Contains(complaint, "windows missed silently") {
		t.Errorf("no table beside the JSON: %s", complaint)
	}
}

// Streams end after a while; who comes back with its last id misses nothing.
func TestViewersComeBack(t *testing.T) {
	s := startStudio(t, func(c *stream.Config) { c.MaxAge = 300 * time.Millisecond })
	_, r, complaint := runViewers(t, s, "--duration", "1500ms")
	if r.Connections <= 20 || r.Byes == 0 || r.Disconnects["connection_lost"] == 0 {
		t.Errorf("nobody had to come back: %+v: %s", r, complaint)
	}
	if r.MissedWindows != 0 || r.RepeatedWindows != 0 || r.GapWindows != 0 {
		t.Errorf("windows were missed or came twice: %+v", r)
	}
}

func TestViewersOverALimit(t *testing.T) {
	s := startStudio(t, func(c *stream.Config) { c.MaxViewersPerUser = 15 })
	site, err := siteOf(s.url)
	if err != nil {
		t.Fatal(err)
	}
	cookie, err := signIn(t.Context(), site, "admin", "right")
	if err != nil {
		t.Fatal(err)
	}
	flags := &viewersCommand{Viewers: 20, Dashboard: "overview", loadFlags: loadFlags{Duration: time.Hour}}
	a := newAudience(flags, site, cookie, &meter{})
	present := driveUntil(t, &flags.loadFlags, a, 20, func() bool { return a.connected() == 15 && a.trouble.refusals() >= 5 })
	r := a.report(present)
	if err := r.failure(); r.Connected != 15 || len(r.Refused) != 1 || err == nil || !strings.Contains(err.Error(), "refused for now") {
		t.Errorf("figures %+v, failure %v", r, err)
	}
}

// driveUntil interrupts a run once the condition holds.
func driveUntil(t *testing.T, l *loadFlags, c crowd, n int, condition func() bool) (present int) {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	var driven sync.WaitGroup
	defer driven.Wait()
	defer interrupt()
	driven.Go(func() {
		var err error
		if present, err = l.drive(ctx, c, n, console{}); err != nil {
			t.Errorf("the run failed: %v", err)
		}
	})
	eventually(t, "what the run is for", condition)
	interrupt()
	driven.Wait()
	return present
}

func TestWrongPassword(t *testing.T) {
	code, _, complaint := runViewers(t, startStudio(t), "--password", "wrong")
	if code != exitFailed || !strings.Contains(complaint, "401") || !strings.Contains(complaint, "wrong user name or password") {
		t.Errorf("exit code %d: %s", code, complaint)
	}
}

// Any answer but a stream is final for a browser too.
func TestUnknownDashboard(t *testing.T) {
	begun := time.Now()
	code, _, complaint := runViewers(t, startStudio(t), "--dashboard", "x&y", "--duration", "1h")
	if code != exitFailed || !strings.Contains(complaint, "no such dashboard") || time.Since(begun) > settleTime {
		t.Errorf("exit code %d after %v: %s", code, time.Since(begun), complaint)
	}
}

// Package dashboard is the hub's HTTP side: sign-in, dashboards, their live streams and history,
// health, and the page itself.
package dashboard

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/gofiber/fiber/v2/middleware/compress"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"telltale/aggregate"
	"telltale/dashboard/store"
	"telltale/stream"
)

// Config is what an operator may set.
type Config struct {
	// PublicURL is the address browsers use, where a proxy stands in front that changes it:
	// https://telltale.example.com. Empty: the address that a request was sent to.
	PublicURL string

	// TrustedProxies are addresses and CIDRs whose X-Forwarded-For, -Proto and -Host are believed.
	TrustedProxies []string
}

// Parts is what the dashboard shows and guards; all of it is required.
type Parts struct {
	Store     *store.Store
	Live      *aggregate.Live
	Streams   *stream.Hub
	History   History
	Catalogue Catalogue
	Analysts  Analysts
	Events    Events
	Agents    func() []DoorAgent // the agents at the door, in any order
	Page      fs.FS              // the built page: index.html is the application, assets/ never change
	BuildID   string             // of the page
	Metrics   *prometheus.Registry
	Checks    []Check            // what must be there before the hub can serve
	Register  func(fiber.Router) // mounts the agents' door

	NotifyAgents func(level, text string) // tells every agent at the door; does not block
}

// App is the Fiber application. Its owner listens with Fiber and calls Run.
type App struct {
	Parts
	log       *slog.Logger
	fiber     *fiber.App
	public    *url.URL // nil without a public URL
	proxies   []netip.Prefix
	attempts  *store.Attempts
	boards    boards
	topics    *topics
	sessions  *sessionEnds
	agentList recent[[]KnownAgent]
	gapList   recent[[]Gap] // of all agents in listedBack
	eventList recent[[]Event]
	eventLog  *eventLog
	page      page
	now       func() time.Time
}

const (
	maxBodyBytes = 1 << 20
	// maxHeadBytes is no larger because every agent's connection keeps a buffer of that size.
	maxHeadBytes = 4 << 10

	// answerTimeout bounds all that a handler waits for. A page waits a little longer.
	answerTimeout = 15 * time.Second
)

// New makes the application and registers its metrics; it starts nothing.
func New(cfg Config, parts Parts, log *slog.Logger) (*App, error) {
	a := &App{
		Parts:    parts,
		log:      log,
		attempts: store.NewAttempts(parts.Metrics),
		topics:   newTopics(parts.Live, parts.Streams, parts.History, log),
		sessions: newSessionEnds(parts.Streams),
		eventLog: newEventLog(parts.Events),
		now:      time.Now,
	}
	var err error
	if a.public, err = parsePublicURL(cfg.PublicURL); err != nil {
		return nil, err
	}
	if a.proxies, err = parseProxies(cfg.TrustedProxies); err != nil {
		return nil, err
	}
	if a.boards, err = loadBoards(); err != nil {
		return nil, err
	}
	if a.page, err = loadPage(parts.Page); err != nil {
		return nil, err
	}
	for _, c := range append(a.topics.metrics(), a.eventLog.metrics()...) {
		if err := parts.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register dashboard metrics: %w", err)
		}
	}
	a.fiber = fiber.New(fiber.Config{
		AppName:               "telltale",
		DisableStartupMessage: true,
		ErrorHandler:          handleError(log),
		BodyLimit:             maxBodyBytes,
		ReadBufferSize:        maxHeadBytes,
		ReadTimeout:           30 * time.Second,
		WriteTimeout:          60 * time.Second,
		IdleTimeout:           75 * time.Second,
		// Texts of a request stay what they are after its handler has returned: topics keep some.
		Immutable: true,
		// Without the check Fiber believes what any client says of itself.
		EnableTrustedProxyCheck: true,
		TrustedProxies:          cfg.TrustedProxies,
	})
	a.routes()
	return a, nil
}

// Fiber is the application, for its owner to listen with.
func (a *App) Fiber() *fiber.App { return a.fiber }

// Run closes windows and publishes them to the streams until ctx ends.
func (a *App) Run(ctx context.Context) {
	defer a.topics.memory.close()
	var using sync.WaitGroup
	defer using.Wait()
	using.Go(func() { a.sessions.use(ctx, a.Store.Sessions) })
	a.Live.Run(ctx, func(now time.Time) { a.topics.publish(ctx, now) })
	a.topics.comparer.running.Wait()
}

func (a *App) routes() {
	a.fiber.Use(recoverPanic, secureHeaders)
	a.fiber.Get("/healthz", healthz)
	a.fiber.Get("/readyz", readyz(a.Checks))
	a.fiber.Get("/metrics", limitTime, a.requireMetricsAccess, adaptor.HTTPHandler(promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{})))
	a.Register(a.fiber) // before what asks for a session: agents have tokens

	a.fiber.Use(limitTime, a.checkOrigin)
	api := a.fiber.Group("/api/v1", keepOutOfCaches)
	api.Post("/login", requireJSON, a.login)
	api.Post("/sql", a.requireAnalyst, a.sql)
	api.Get("/metrics", a.requireReader, a.metrics)
	api.Get("/labels", a.requireReader, a.labels)
	api.Get("/labels/:label", a.requireReader, a.labelValues)
	api.Get("/cardinality", a.requireReader, a.cardinality)
	api.Post("/query", requireJSON, a.requireReader, compress.New(compress.Config{Level: compress.LevelBestSpeed}), a.query)
	api.Post("/events", a.requireRecorder, requireJSON, a.recordEvent)
	api.Get("/events", a.requireReader, a.events)
	api.Use(a.requireSession)
	api.Post("/logout", a.logout)
	api.Get("/session", a.session)
	api.Get("/dashboards/:id", a.dashboard)
	api.Get("/agents", a.agents)
	api.Get("/gaps", a.gaps)
	api.Get("/stream", a.stream)
	api.Post("/notices", requireAdmin, requireJSON, a.notify)

	a.fiber.Get("/login", keepOutOfCaches, a.page.application)
	a.fiber.Get("/assets/*", a.page.asset)
	a.fiber.Get("/", keepOutOfCaches, a.requireSignIn, a.page.application)
	a.fiber.Get("/d/:id", keepOutOfCaches, a.requireSignIn, a.page.application)
	a.fiber.Get("/hosts/:agent", keepOutOfCaches, a.requireSignIn, a.page.application)
	a.fiber.Use(func(*fiber.Ctx) error {
		return refuse(http.StatusNotFound, "not_found", "there is nothing at this address")
	})
}

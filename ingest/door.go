package ingest

import (
	"fmt"
	"math"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"telltale/ingest/wire"
)

// Keys of what knock leaves for serve.
const (
	tokenLocal   = "telltale.ingest.token"   // id of the token in the header, "" without one
	offeredLocal = "telltale.ingest.offered" // whether the client offers the subprotocol
	requestLocal = "telltale.ingest.request" // the request and its response
)

// knock turns away what can be turned away before it becomes a WebSocket, cheaply.
func (s *Server) knock(c *fiber.Ctx) error {
	switch {
	case s.isClosing():
		comeBack(c, s.config.RetryAfter)
		return s.reject(fiber.StatusServiceUnavailable, "going_away", "the hub stops or restarts: come back later")
	case c.Query("token") != "" || c.Query("access_token") != "":
		return s.reject(fiber.StatusBadRequest, "token_in_url",
			"a token in the URL ends up in logs: send it as 'Authorization: Bearer' or in the hello frame, and replace this one")
	case !s.allowedOrigin(c):
		return s.reject(fiber.StatusForbidden, "origin", "this page's origin may not connect: agents send no Origin header")
	case !websocket.IsWebSocketUpgrade(c):
		return s.reject(fiber.StatusUpgradeRequired, "no_websocket", "this is a WebSocket endpoint, see docs/protocol.md")
	}
	id, err := s.headerToken(c)
	if err != nil {
		return err
	}
	if wait, ok := s.admission.enter(time.Now()); !ok {
		comeBack(c, wait)
		return s.reject(fiber.StatusServiceUnavailable, "admission_rate", "too many agents connect at once: come back when Retry-After says")
	}
	c.Locals(tokenLocal, id)
	c.Locals(offeredLocal, offers(c.Get(fiber.HeaderSecWebSocketProtocol), wire.Subprotocol))
	c.Locals(requestLocal, c.Context())
	return c.Next()
}

// comeBack sets the header that says when.
func comeBack(c *fiber.Ctx, wait time.Duration) {
	c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
}

func (s *Server) reject(status int, reason, message string) error {
	s.metrics.rejected.WithLabelValues(reason).Inc()
	return fiber.NewError(status, message)
}

// allowedOrigin lets programs in, which send no Origin, and of pages only our own.
func (s *Server) allowedOrigin(c *fiber.Ctx) bool {
	origin := c.Get(fiber.HeaderOrigin)
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" &&
		(strings.EqualFold(u.Host, string(c.Request().Host())) || strings.EqualFold(u.Host, s.publicHost))
}

// headerToken returns the id of the Authorization header's token, "" without the header.
func (s *Server) headerToken(c *fiber.Ctx) (string, error) {
	header := c.Get(fiber.HeaderAuthorization)
	if header == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", s.reject(fiber.StatusUnauthorized, "unauthorized", "the Authorization header must be 'Bearer' and an agent token")
	}
	// The token's memory is the request's, which is used again: the store may keep it.
	id, ok, err := s.tokens.Agent(c.UserContext(), utils.CopyString(strings.TrimSpace(token)))
	if err != nil {
		return "", fmt.Errorf("looking up an agent token: %w", err)
	}
	if !ok {
		return "", s.reject(fiber.StatusUnauthorized, "unauthorized", "unknown agent token: make one with 'telltale token create'")
	}
	return id, nil
}

// offers says whether a Sec-WebSocket-Protocol header lists the subprotocol.
func offers(header, subprotocol string) bool {
	for offer := range strings.SplitSeq(header, ",") {
		if strings.TrimSpace(offer) == subprotocol {
			return true
		}
	}
	return false
}

// serve is one connection, from the upgrade to its end.
func (s *Server) serve(c *websocket.Conn) {
	token, _ := c.Locals(tokenLocal).(string)
	offered, _ := c.Locals(offeredLocal).(bool)
	// Neither the server nor the Conn needs the headers any more: 4 KB a connection.
	if request, ok := c.Locals(requestLocal).(*fasthttp.RequestCtx); ok {
		request.Request.Header = fasthttp.RequestHeader{}
		request.Response.Header = fasthttp.ResponseHeader{}
	}
	*c = websocket.Conn{Conn: c.Conn}
	// The session gets the connection itself: the Conn around it is another's once serve returns.
	session := newSession(s, c.Conn)
	if !s.admit(session) {
		_ = c.Close()
		return
	}
	defer s.dismiss(session)
	session.run(token, offered)
}

// recover keeps a defect that one connection meets from the others. The library's own
// would send the panic's text to the agent.
func (s *Server) recover(*websocket.Conn) {
	if r := recover(); r != nil {
		s.metrics.panics.Inc()
		s.log.Error("a connection met a defect of the hub", "panic", r, "stack", string(debug.Stack()))
	}
}

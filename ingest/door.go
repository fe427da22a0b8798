package ingest

import (
	"fmt"
	"math"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gofiber/contrib/websocket"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"

	"telltale/ingest/wire"
)

// Keys of what knock leaves for serve.
const (
	tokenLocal   = "telltale.ingest.token"   // id of the token in the header, "" without one
	offeredLocal = "telltale.ingest.offered" // whether the client offers the subprotocol
)

// knock turns away what can be turned away before it becomes a WebSocket, cheaply.
func (s *Server) knock(c *fiber.Ctx) error {
	switch {
	case s.isClosing():
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(s.config.RetryAfter.Seconds()))))
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
	c.Locals(tokenLocal, id)
	c.Locals(offeredLocal, offers(c.Get(fiber.HeaderSecWebSocketProtocol), wire.Subprotocol))
	return c.Next()
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
	// The session gets the connection itself: the Conn around it is another's once serve returns.
	session := newSession(s, c.Conn, token)
	if !s.admit(session) {
		_ = c.Close()
		return
	}
	defer s.dismiss(session)
	session.run(offered)
}

// recover keeps a defect that one connection meets from the others. The library's own
// would send the panic's text to the agent.
func (s *Server) recover(*websocket.Conn) {
	if r := recover(); r != nil {
		s.metrics.panics.Inc()
		s.log.Error("a connection met a defect of the hub", "panic", r, "stack", string(debug.Stack()))
	}
}

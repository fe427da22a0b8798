package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/gofiber/fiber/v2"

	"telltale/dashboard/store"
)

// recoverPanic makes a handler's panic the error of its request alone.
func recoverPanic(c *fiber.Ctx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return c.Next()
}

// contentPolicy lets the page load what comes from the hub itself, and nothing inline. The state
// in the tab's icon is drawn as a data: image.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func secureHeaders(c *fiber.Ctx) error {
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderReferrerPolicy, "same-origin")
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderContentSecurityPolicy, contentPolicy)
	return c.Next()
}

func keepOutOfCaches(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Next()
}

// limitTime gives a request's context its end: the server never ends it, even if the client leaves.
func limitTime(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), answerTimeout)
	defer cancel()
	c.SetUserContext(ctx)
	return c.Next()
}

// requireJSON keeps forms of other pages out: a browser asks first before it sends JSON elsewhere.
func requireJSON(c *fiber.Ctx) error {
	if !c.Is("json") {
		return refuse(http.StatusUnsupportedMediaType, "not_json", "send the body as Content-Type: application/json")
	}
	if c.Get(fiber.HeaderContentEncoding) != "" {
		return refuse(http.StatusUnsupportedMediaType, "compressed", "send the body uncompressed")
	}
	return c.Next()
}

// requireMetricsAccess lets a signed-in user or a metrics token pass.
func (a *App) requireMetricsAccess(c *fiber.Ctx) error {
	if secret, found := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer "); found {
		if _, err := a.Store.Tokens.Verify(secret, store.MetricsScope); err != nil {
			return refuse(http.StatusUnauthorized, "unauthorized", "unknown token: make one with 'telltale token create --scope metrics NAME'")
		}
		return c.Next()
	}
	_, err := a.findSession(c)
	if errors.Is(err, errSignIn) {
		return refuse(http.StatusUnauthorized, "unauthorized",
			"send a metrics token as 'Authorization: Bearer ...' ('telltale token create --scope metrics NAME') or sign in")
	}
	if err != nil {
		return err
	}
	return c.Next()
}

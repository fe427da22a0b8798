package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"telltale/dashboard/store"
)

type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// cookieLife is longer than a session lasts: the store ends it, and puts that off with every use,
// of which the browser's cookie does not hear.
const cookieLife = 90 * 24 * time.Hour

// maxCredentialBytes bounds what is hashed and what enters the map of attempts.
const maxCredentialBytes = 256

func (a *App) login(c *fiber.Ctx) error {
	var given credentials
	// The raw body, for Fiber's own parser would decompress without a bound.
	if err := json.Unmarshal(c.BodyRaw(), &given); err != nil {
		return refuse(http.StatusBadRequest, "bad_request", `send {"user": "...", "password": "..."}`)
	}
	if len(given.User) > maxCredentialBytes || len(given.Password) > maxCredentialBytes {
		return refuse(http.StatusBadRequest, "too_long", "user and password take at most 256 bytes each")
	}
	address := a.clientAddress(c)
	if wait := a.attempts.Try(given.User, address); wait > 0 {
		return tooMany(c, wait)
	}
	user, err := a.Store.Users.Verify(c.UserContext(), given.User, given.Password)
	switch {
	case errors.Is(err, store.ErrWrongCredentials):
		return refuse(http.StatusUnauthorized, "wrong_credentials", "wrong user name or password")
	case errors.Is(err, store.ErrBusy):
		return tooMany(c, time.Second)
	case err != nil:
		return err
	}
	a.attempts.Succeeded(given.User, address)
	session, cookie, err := a.Store.Sessions.Create(c.UserContext(), user, address.String())
	if err != nil {
		return err
	}
	a.log.Info("signed in", "user", user.Name, "remote", address)
	a.setCookie(c, cookie.Reveal(), session.Created.Add(cookieLife))
	return c.SendStatus(http.StatusNoContent)
}

func tooMany(c *fiber.Ctx, wait time.Duration) error {
	seconds := strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
	c.Set(fiber.HeaderRetryAfter, seconds)
	return refuse(http.StatusTooManyRequests, "too_many_attempts", "too many attempts to sign in: try again in "+seconds+" s")
}

func (a *App) logout(c *fiber.Ctx) error {
	err := a.Store.Sessions.SignOut(c.UserContext(), sessionOf(c).Key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	a.setCookie(c, "", time.Unix(1, 0))
	return c.SendStatus(http.StatusNoContent)
}

func (a *App) session(c *fiber.Ctx) error {
	s := sessionOf(c)
	return c.JSON(fiber.Map{"user": s.User.Name, "role": s.User.Role, "expires": s.Expires.UnixMilli()})
}

// secure says whether the browser speaks TLS, with us or with a proxy in front.
func (a *App) secure(c *fiber.Ctx) bool { return a.origin(c).Scheme == "https" }

// cookieName is prefixed on TLS: browsers then take the cookie from this very host only.
func (a *App) cookieName(c *fiber.Ctx) string {
	if a.secure(c) {
		return "__Host-telltale"
	}
	return "telltale"
}

func (a *App) setCookie(c *fiber.Ctx, value string, expires time.Time) {
	c.Cookie(&fiber.Cookie{
		Name: a.cookieName(c), Value: value, Path: "/", Expires: expires,
		Secure: a.secure(c), HTTPOnly: true,
		// Lax, not Strict: a link to a dashboard in a mail should open it. What changes state is
		// guarded by the check of Origin.
		SameSite: fiber.CookieSameSiteLaxMode,
	})
}

const sessionKey = "session"

// sessionOf returns the session that requireSession found.
func sessionOf(c *fiber.Ctx) store.Session { return c.Locals(sessionKey).(store.Session) }

var errSignIn = refuse(http.StatusUnauthorized, "unauthorized", "sign in first: POST /api/v1/login")

// requireSession lets only signed-in users pass.
func (a *App) requireSession(c *fiber.Ctx) error {
	s, err := a.findSession(c)
	if err != nil {
		return err
	}
	c.Locals(sessionKey, s)
	return c.Next()
}

// requireSignIn does the same for pages: it shows the way to the sign-in, and back.
func (a *App) requireSignIn(c *fiber.Ctx) error {
	err := a.requireSession(c)
	if errors.Is(err, errSignIn) {
		return c.Redirect("/login?next=" + url.QueryEscape(c.OriginalURL()))
	}
	return err
}

func (a *App) findSession(c *fiber.Ctx) (store.Session, error) {
	cookie := c.Cookies(a.cookieName(c))
	if cookie == "" {
		return store.Session{}, errSignIn
	}
	s, err := a.Store.Sessions.Get(c.UserContext(), cookie)
	var end store.End
	if errors.Is(err, store.ErrNoSession) || errors.As(err, &end) {
		return store.Session{}, errSignIn
	}
	return s, err
}

package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// parsePublicURL returns the origin of the public URL; nil for none.
func parsePublicURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("public URL %q: give scheme and host, for example https://telltale.example.com", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: originHost(u.Scheme, u.Host)}, nil
}

// originHost is a host as browsers write it in Origin: in lower case, without the scheme's own port.
func originHost(scheme, host string) string {
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}

// origin is where browsers find this hub: the public URL, else the address of the request.
func (a *App) origin(c *fiber.Ctx) url.URL {
	if a.public != nil {
		return *a.public
	}
	scheme := c.Protocol()
	return url.URL{Scheme: scheme, Host: originHost(scheme, c.Hostname())}
}

// checkOrigin refuses requests that change state when a page of another origin makes them.
// Programs that are no browsers send no Origin and pass.
func (a *App) checkOrigin(c *fiber.Ctx) error {
	switch c.Method() {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return c.Next()
	}
	given := c.Get(fiber.HeaderOrigin)
	if own := a.origin(c); given != "" && given != own.String() {
		return refuse(http.StatusForbidden, "foreign_origin",
			"the request comes from a page of another origin than "+own.String()+
				"; if browsers reach this hub by another address, set --public-url to it")
	}
	return c.Next()
}

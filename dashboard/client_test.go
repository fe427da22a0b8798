package dashboard

import (
	"net"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

func TestClientAddress(t *testing.T) {
	fiberApp := fiber.New()
	proxies, err := parseProxies([]string{"10.0.0.0/8", "127.0.0.1", "fd00::/8"})
	must(t, err)
	a := &App{proxies: proxies}
	f := func(peer, want string, forwarded ...string) {
		t.Helper()
		var request fasthttp.RequestCtx
		request.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.ParseIP(peer), Port: 1}, nil)
		for _, header := range forwarded {
			request.Request.Header.Add("X-Forwarded-For", header)
		}
		c := fiberApp.AcquireCtx(&request)
		defer fiberApp.ReleaseCtx(c)
		if got := a.clientAddress(c).String(); got != want {
			t.Errorf("from %s by %q: %s, want %s", peer, forwarded, got, want)
		}
	}
	f("192.0.2.1", "192.0.2.1")
	f("192.0.2.1", "192.0.2.1", "198.51.100.7") // no proxy of ours says so
	f("127.0.0.1", "198.51.100.7", "198.51.100.7")
	f("127.0.0.1", "198.51.100.7", "203.0.113.9, 198.51.100.7") // the first is what the client says of itself
	f("127.0.0.1", "198.51.100.7", "203.0.113.9", "198.51.100.7, 10.1.1.1")
	f("127.0.0.1", "10.1.1.1", "10.1.1.1")
	f("127.0.0.1", "127.0.0.1", "nonsense")
	f("127.0.0.1", "10.1.1.1", "198.51.100.7, nonsense, 10.1.1.1")
	f("fd00::1", "2001:db8::1", "2001:db8::1")
	f("::ffff:127.0.0.1", "198.51.100.7", "::ffff:198.51.100.7")
	f("127.0.0.1", "127.0.0.1")

	if _, err := parseProxies([]string{"localhost"}); err == nil {
		t.Error("a proxy without an address was taken")
	}
}

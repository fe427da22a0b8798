package dashboard

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"telltale/web"
)

func TestPages(t *testing.T) {
	s := open(t)
	c := s.client()
	redirect := func(path, want string) {
		t.Helper()
		r := c.get(path)
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusFound || got != want {
			t.Errorf("%s: %d to %q, want %q", path, r.StatusCode, got, want)
		}
	}
	redirect("/", "/login?next=%2F")
	redirect("/?kiosk=1", "/login?next=%2F%3Fkiosk%3D1")
	redirect("/hosts/web-1", "/login?next=%2Fhosts%2Fweb-1")

	index := func(c *client, path string) {
		t.Helper()
		r := c.get(path)
		r.want(http.StatusOK, "")
		if !strings.Contains(string(r.body), "the page") || r.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s", path, r.Header, r.body)
		}
		if policy := r.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self';") || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	index(c, "/login")
	for _, path := range []string{"/", "/hosts/web-1", "/hosts/web%201"} {
		index(s.signedIn(), path)
	}
	for _, path := range []string{"/nothing", "/build.txt", "/index.html", "/hosts", "/hosts/a/b", "/assets/", "/assets/nothing.js", "/assets/../build.txt", "/assets/..%2fbuild.txt"} {
		c.get(path).want(http.StatusNotFound, "not_found")
	}
}

// What the page is built of must be allowed by the policy it is served with, and be found.
func TestRealPage(t *testing.T) {
	p, err := loadPage(web.Files())
	must(t, err)
	index := string(p.index.plain)
	for _, inline := range []string{"<script>", "<style", " style=", " onload=", "javascript:"} {
		if strings.Contains(index, inline) {
			t.Errorf("the index holds %q, which the policy refuses", inline)
		}
	}
	for _, part := range strings.Split(index, `"/assets/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if _, known := p.assets[name]; !known {
			t.Errorf("the index names %q, which is not served", name)
		}
	}
	if web.Built() != (len(p.assets) > 0) {
		t.Errorf("built is %v, with %d assets", web.Built(), len(p.assets))
	}
}

func TestAssets(t *testing.T) {
	s := open(t)
	c := s.client()
	f := func(path, contentType, encoding string, bytes int) {
		t.Helper()
		r := c.get(path)
		r.want(http.StatusOK, "")
		if r.Header.Get("Content-Type") != contentType || r.Header.Get("Content-Encoding") != encoding {
			t.Errorf("%s: %v", path, r.Header)
		}
		if got := r.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
			t.Errorf("%s: cache control %q", path, got)
		}
		if encoding == "" && len(r.body) != bytes || encoding != "" && len(r.body) >= bytes {
			t.Errorf("%s: %d bytes, of %d", path, len(r.body), bytes)
		}
	}
	f("/assets/app-1.js", "text/javascript; charset=utf-8", "", 1100)
	f("/assets/style-1.css", "text/css; charset=utf-8", "", 3)
	f("/assets/inter-1.woff2", "font/woff2", "", 4)
	c.header.Set("Accept-Encoding", "br, gzip")
	f("/assets/app-1.js", "text/javascript; charset=utf-8", "gzip", 1100)
	f("/assets/inter-1.woff2", "font/woff2", "", 4)
	c.header.Set("Accept-Encoding", "gzip")
	r := c.open(http.MethodGet, "/assets/app-1.js", "")
	defer func() { _ = r.Body.Close() }()
	if got := r.Header.Get("Vary"); got != "Accept-Encoding" {
		t.Errorf("vary %q", got)
	}
	_, _ = io.Copy(io.Discard, r.Body)
}

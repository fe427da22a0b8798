package stream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// examples holds the proxies' configurations as we give them to operators.
const examples = "../docs/examples"

// edge is a way to the server.
type edge struct {
	name string
	base string         // scheme, host and port
	cas  string         // file with the certificate to trust
	pool *x509.CertPool // the same
	quic bool           // a client that can is to use HTTP/3, and nothing else
}

// proxy is a proxy that runs.
type proxy struct {
	*exec.Cmd
	output bytes.Buffer
}

func start(t *testing.T, name string, env []string, args ...string) *proxy {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path = "/usr/sbin/" + name // not everybody's PATH has it
	}
	p := &proxy{Cmd: exec.Command(path, args...)}
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = &p.output, &p.output
	if err := p.Start(); err != nil {
		t.Fatalf("%v: install it (apt-get install %s, as root)", err, name)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, &p.output)
		}
	})
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// example returns an example's text with what a test must have otherwise.
func example(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(text, []byte(replace[i])) {
			t.Fatalf("%s does not hold %q", name, replace[i])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// throughCaddy starts Caddy with the Caddyfile of the compose example. The certificate is of Caddy's own making.
func throughCaddy(t *testing.T, server string) edge {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	caddyfile, err := filepath.Abs(filepath.Join(examples, "compose/Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	// What a test must not do: take port 80, listen for commands, change this machine's trust.
	config := write(t, filepath.Join(dir, "Caddyfile"),
		"{\n admin off\n skip_install_trust\n auto_https disable_redirects\n default_bind 127.0.0.1\n}\nimport "+caddyfile+"\n")
	start(t, "caddy", []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir,
		"TELLTALE_HOST=https://localhost:" + port, "TELLTALE_HUB=" + server}, "run", "--config", config, "--adapter", "caddyfile")
	return ready(t, edge{name: "caddy", base: "https://localhost:" + port, cas: filepath.Join(dir, "caddy/pki/authorities/local/root.crt")})
}

// ownCertificate writes a certificate and its key as PEM.
func ownCertificate(t *testing.T, dir string) (cert, key, both string) {
	t.Helper()
	c := certificate(t).Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return write(t, filepath.Join(dir, "cert.pem"), public), write(t, filepath.Join(dir, "key.pem"), secret),
		write(t, filepath.Join(dir, "both.pem"), public+secret)
}

func throughNginx(t *testing.T, server string) edge {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	cert, key, _ := ownCertificate(t, dir)
	site := write(t, filepath.Join(dir, "site.conf"), example(t, "edge/nginx.conf", "listen 443 ", "listen 127.0.0.1:"+port+" ",
		"http://127.0.0.1:8080", "http://"+server, "/etc/ssl/telltale.pem", cert, "/etc/ssl/telltale.key", key))
	// Temporary files, or nginx wants directories of the system's.
	config := write(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr;\n"+
		"events {}\nhttp { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; "+
		"uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e; include %[2]s; }\n", dir, site))
	start(t, "nginx", nil, "-c", config, "-p", dir)
	return ready(t, edge{name: "nginx", base: "https://localhost:" + port, cas: cert})
}

func throughHAProxy(t *testing.T, server string) edge {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	cert, _, both := ownCertificate(t, dir)
	config := write(t, filepath.Join(dir, "haproxy.cfg"), example(t, "edge/haproxy.cfg", "bind :443", "bind 127.0.0.1:"+port,
		"/etc/ssl/telltale-with-key.pem", both, "server hub 127.0.0.1:8080", "server hub "+server))
	start(t, "haproxy", nil, "-db", "-f", config)
	return ready(t, edge{name: "haproxy", base: "https://localhost:" + port, cas: cert})
}

// ready waits until the proxy passes requests on.
func ready(t *testing.T, e edge) edge {
	t.Helper()
	eventually(t, e.name+" is ready", func() bool {
		text, err := os.ReadFile(e.cas)
		if err != nil {
			return false
		}
		e.pool = x509.NewCertPool()
		e.pool.AppendCertsFromPEM(text)
		transport := e.transport()
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(e.base + "/ready")
		if err != nil {
			return false
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode == http.StatusOK
	})
	return e
}

func (e edge) transport() *http.Transport {
	return &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: e.pool}}
}

// keyHash is the SHA-256 of the public key of the edge's certificate, as Chromium wants to be told it.
func (e edge) keyHash(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(e.base, "https://"), &tls.Config{RootCAs: e.pool})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	hash := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(hash[:])
}

// A browser has one HTTP/2 connection to the edge, whatever number of tabs: fifty streams on it are served side by
// side, and each event goes out when it is published, for the next is published when all have it.
func TestFiftyStreamsOverOneConnection(t *testing.T) {
	s := open(t)
	s.setState(1, 0)
	caddy := throughCaddy(t, s.addr)
	transport := caddy.transport()
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), enough)
	defer cancel()
	var mu sync.Mutex
	connections := map[string]bool{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		mu.Lock()
		defer mu.Unlock()
		connections[got.Conn.LocalAddr().String()] = true
	}})
	var peers []*peer
	for range 50 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, caddy.base+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.ProtoMajor != 2 {
			t.Fatalf("Caddy answered with %s", response.Proto)
		}
		p := readFrom(t, response)
		p.want("hello", 0)
		p.want("snapshot", 1)
		peers = append(peers, p)
	}
	var slowest time.Duration
	for id := int64(2); id < 12; id++ {
		published := time.Now()
		s.publish(id)
		for _, p := range peers {
			p.want("tick", id)
		}
		slowest = max(slowest, time.Since(published))
	}
	if len(connections) != 1 {
		t.Errorf("%d connections, want one", len(connections))
	}
	t.Logf("50 streams over one connection: the last of them had an event at most %v after it was published", slowest)
}

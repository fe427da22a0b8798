package enginetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Secure is a TLS port in front of a server, with a certificate of an authority of its own.
type Secure struct {
	Address string // host:port
	CAFile  string // the authority's certificate, PEM
}

// TLS opens a TLS port in front of an address until the test ends. Its certificate is for a host and valid until a time.
func TLS(t testing.TB, to, host string, until time.Time) Secure {
	t.Helper()
	authority, authorityKey := certificate(t, nil, nil, "authority of a test", until)
	own, key := certificate(t, authority, authorityKey, host, until)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{own.Raw}, PrivateKey: key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := Secure{Address: listener.Addr().String(), CAFile: filepath.Join(t.TempDir(), "ca.pem")}
	write(t, s.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw}))
	var serving sync.WaitGroup
	serving.Go(func() { forwardAll(listener, to, &serving) })
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	return s
}

// certificate makes one that is signed by parent, or by itself.
func certificate(t testing.TB, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, name string, until time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, BasicConstraintsValid: true, IsCA: parent == nil,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	signer := parentKey
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// forwardAll passes connections on until the listener is closed. They end with their clients.
func forwardAll(listener net.Listener, to string, serving *sync.WaitGroup) {
	for {
		in, err := listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			serving.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_, _ = way[0].Close(), way[1].Close()
			})
		}
	}
}

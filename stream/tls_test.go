package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// certificate makes a server's TLS settings for this test.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestTLS(t *testing.T) {
	s := open(t, withTLS(certificate(t)))
	s.publish(10)
	plain := s.connect("")
	plain.want("hello", 0)
	plain.want("snapshot", 10)
	packed := s.connect("?session=packed", "Last-Event-ID: 4", "Accept-Encoding: gzip")
	packed.want("hello", 0)
	for id := int64(5); id <= 10; id++ {
		packed.want("tick", id)
	}
	for id := int64(11); id < 20; id++ {
		s.publish(id)
		plain.want("tick", id)
		packed.want("tick", id)
	}
	s.hub.End("packed", "expired")
	packed.want("bye", 0)
	packed.ended()
	s.publish(20)
	plain.want("tick", 20)
}

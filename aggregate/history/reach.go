package history

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Codes of ClickHouse's refusals that lie with --clickhouse.
const (
	exceptionUnknownUser     = 192
	exceptionPasswordOfUser  = 193
	exceptionPasswordMissing = 194
	exceptionAccessDenied    = 497
)

// The native protocol's first byte of an answer that is none: of a TLS alert, and the H of HTTP.
const (
	answerOfTLS  = "unexpected packet [21]"
	answerOfHTTP = "unexpected packet [72]"
)

// Reached says of an error in reaching the server of o what to look at, where it is one of the usual mistakes.
func Reached(o *clickhouse.Options, err error) error {
	if err == nil {
		return nil
	}
	hint := hintAt(o, err)
	if hint == "" {
		return err
	}
	return fmt.Errorf("ClickHouse at %s: %s: %w", strings.Join(o.Addr, ", "), hint, err)
}

func hintAt(o *clickhouse.Options, err error) string {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		switch exception.Code {
		case exceptionWrongPassword, exceptionUnknownUser, exceptionPasswordOfUser, exceptionPasswordMissing:
			return fmt.Sprintf("the user %q or its password is refused: look at both in --clickhouse, where special characters must be percent-encoded", o.Auth.Username)
		case exceptionAccessDenied:
			return fmt.Sprintf("the user %q lacks a right: docs/operations.md lists the grants it needs", o.Auth.Username)
		}
		return ""
	}
	if hint := hintAtTLS(err); hint != "" {
		return hint
	}
	var operation *net.OpError
	switch {
	case strings.Contains(err.Error(), answerOfTLS):
		return "this port speaks TLS: add secure=true to --clickhouse"
	case errors.Is(err, io.EOF):
		return "it ends the connection at once: where this port speaks TLS, add secure=true to --clickhouse"
	case strings.Contains(err.Error(), answerOfHTTP):
		return "this is the port of HTTP: give that of the native protocol, 9000 by default and 9440 with TLS"
	case errors.As(err, &operation) && operation.Op == "dial":
		return "nobody answers there: look at host and port in --clickhouse, and whether the server runs and listens"
	}
	return ""
}

func hintAtTLS(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &authority):
		return "its certificate is of an authority that this machine does not know: name that with --clickhouse-ca FILE, " +
			"or, on a network you trust, add skip_verify=true to --clickhouse"
	case errors.As(err, &name):
		return "its certificate is for another name: use that one in --clickhouse, or add tls_server_name=NAME"
	case errors.As(err, &invalid):
		return "its certificate is not valid: renew it"
	case errors.As(err, &record):
		return "this port does not speak TLS: give the one that does, 9440 by default, or leave secure=true out"
	}
	return ""
}

package dashboard

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
)

// Whoever is told to come back later must learn that, and why; what failed stays between us and the log.
func TestErrorsAnswer(t *testing.T) {
	f := func(err error, status int, says string, logged bool) {
		t.Helper()
		var log bytes.Buffer
		app := fiber.New(fiber.Config{ErrorHandler: handleError(slog.New(slog.NewTextHandler(&log, nil)))})
		app.Get("/", func(*fiber.Ctx) error { return err })
		answer, testErr := app.Test(httptest.NewRequest(http.MethodGet, "/", nil))
		if testErr != nil {
			t.Fatal(testErr)
		}
		defer func() { _ = answer.Body.Close() }()
		body, readErr := io.ReadAll(answer.Body)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if answer.StatusCode != status || !strings.Contains(string(body), says) {
			t.Errorf("%v is answered with %s %s, want %d and %q", err, answer.Status, body, status, says)
		}
		if (log.Len() > 0) != logged {
			t.Errorf("%v: log %q", err, &log)
		}
	}
	f(fiber.NewError(http.StatusServiceUnavailable, "come back later"), http.StatusServiceUnavailable, "come back later", false)
	f(fiber.NewError(http.StatusForbidden, "not from there"), http.StatusForbidden, "not from there", false)
	f(fiber.NewError(http.StatusInsufficientStorage, "a secret"), http.StatusInternalServerError, "its log says why", true)
	f(io.ErrUnexpectedEOF, http.StatusInternalServerError, "its log says why", true)
}

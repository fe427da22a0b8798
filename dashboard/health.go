package dashboard

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// Check is one thing the hub must have before it can serve.
type Check struct {
	Name  string
	Ready func() error // nil: ready; else what is missing. Any goroutine; answers at once
}

func healthz(c *fiber.Ctx) error { return c.SendString("ok\n") }

// readyz answers 200 when every check passes, else 503 and what is not ready.
func readyz(checks []Check) fiber.Handler {
	return func(c *fiber.Ctx) error {
		status := http.StatusOK
		states := make(map[string]string, len(checks))
		for _, check := range checks {
			states[check.Name] = "ok"
			if err := check.Ready(); err != nil {
				states[check.Name] = err.Error()
				status = http.StatusServiceUnavailable
			}
		}
		return c.Status(status).JSON(fiber.Map{"ready": status == http.StatusOK, "checks": states})
	}
}

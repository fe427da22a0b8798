package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// apiError is a failure with two messages: the public one, which names the limit or the remedy,
// and the cause, which only our log sees.
type apiError struct {
	status  int
	code    string // stable, for programs: "unauthorized", "limit_points"
	message string
	cause   error
}

func (e *apiError) Error() string {
	if e.cause != nil {
		return e.message + ": " + e.cause.Error()
	}
	return e.message
}

func (e *apiError) Unwrap() error { return e.cause }

func refuse(status int, code, message string) *apiError {
	return &apiError{status: status, code: code, message: message}
}

// handleError answers every error a handler returns, in one form, and logs those that are ours.
func handleError(log *slog.Logger) fiber.ErrorHandler {
	return func(c *fiber.Ctx, err error) error {
		public := publicError(err)
		if public.status >= http.StatusInternalServerError && !turnedAway(err) {
			log.Error("a request failed", "method", c.Method(), "path", c.Path(), "status", public.status, "error", err)
		}
		return c.Status(public.status).JSON(fiber.Map{
			"error": fiber.Map{"code": public.code, "message": public.message},
		})
	}
}

// turnedAway says that a handler refuses for now, on purpose, or that nobody waits for its answer any more: thousands of
// agents that come back at once are no failures of ours, nor are statements beyond those that may run. Each is counted.
func turnedAway(err error) bool {
	var framework *fiber.Error
	var public *apiError
	return errors.As(err, &framework) && framework.Code == http.StatusServiceUnavailable ||
		errors.As(err, &public) && public.code == "busy" || errors.Is(err, context.Canceled)
}

func publicError(err error) *apiError {
	var public *apiError
	if errors.As(err, &public) {
		return public
	}
	var framework *fiber.Error
	switch {
	case errors.Is(err, fiber.ErrBadGateway): // Fiber's word for a connection that broke while the request was read
		return refuse(http.StatusBadRequest, "bad_request", "the request did not arrive in full")
	case errors.Is(err, fiber.ErrRequestHeaderFieldsTooLarge):
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "head_too_large",
			fmt.Sprintf("the request's address and headers take at most %d bytes: clear the cookies of this address", maxHeadBytes))
	case errors.Is(err, fiber.ErrRequestEntityTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("a request's body takes at most %d bytes: send a smaller one", maxBodyBytes))
	case errors.As(err, &framework) && (framework.Code < http.StatusInternalServerError || framework.Code == http.StatusServiceUnavailable):
		code := strings.ReplaceAll(strings.ToLower(http.StatusText(framework.Code)), " ", "_")
		return refuse(framework.Code, code, framework.Message)
	}
	return refuse(http.StatusInternalServerError, "internal", "the hub could not answer; its log says why")
}

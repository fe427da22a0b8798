package dashboard

import (
	"context"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
)

// What the agents' door refuses for now keeps its status and its words.
func TestTurnedAwayIsNoFailure(t *testing.T) {
	err := fiber.NewError(http.StatusServiceUnavailable, "come back later")
	if got := publicError(err); got.status != http.StatusServiceUnavailable || got.message != "come back later" || got.code != "service_unavailable" {
		t.Errorf("answered with %+v", got)
	}
	if got := publicError(context.Canceled); got.status != http.StatusInternalServerError || got.code != "internal" {
		t.Errorf("an asker that left is answered with %+v", got)
	}
	if !turnedAway(err) || turnedAway(fiber.NewError(http.StatusInternalServerError, "defect")) {
		t.Error("a refusal is logged as a failure, or a failure is not")
	}
}

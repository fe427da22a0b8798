package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const signInTimeout = 15 * time.Second

// signIn returns the session cookie as a request carries it.
func signIn(ctx context.Context, site *url.URL, user, password string) (cookie string, err error) {
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"user": user, "password": password})
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, site.String()+"/api/v1/login", bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return "", fmt.Errorf("signing in as %s: %s: %s", user, response.Status, bytes.TrimSpace(text))
	}
	var pairs []string
	for _, c := range response.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) == 0 {
		return "", errors.New("signing in: the hub set no cookie")
	}
	return strings.Join(pairs, "; "), nil
}

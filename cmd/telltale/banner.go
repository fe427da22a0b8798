package main

import (
	"fmt"
	"net"
	"os"

	"telltale/aggregate/engine"
	"telltale/dashboard/store"
)

// printAddresses tells the operator, once and on standard output, where everything is.
func (h *hub) printAddresses() {
	scheme, agentScheme := "http", "ws"
	if h.config.TLSCert != "" {
		scheme, agentScheme = "https", "wss"
	}
	address := h.listener.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	fmt.Printf("\ntelltale %s\n\n", version)
	fmt.Printf("  dashboard   %s://%s\n", scheme, address)
	if !h.seeded.AdminPassword.IsZero() && os.Getenv("TELLTALE_ADMIN_PASSWORD") == "" {
		fmt.Printf("  sign in     user %s  password %s  (shown once)\n", store.FirstAdmin, h.seeded.AdminPassword.Reveal())
	}
	fmt.Printf("  agents      %s://%s\n", agentScheme, address)
	if !h.seeded.AgentToken.IsZero() && os.Getenv("TELLTALE_AGENT_TOKEN") == "" {
		fmt.Printf("  token       %s  (shown once)\n", h.seeded.AgentToken.Reveal())
	}
	if h.engine != nil {
		a := h.engine.Addresses()
		fmt.Printf("  clickhouse  %s  user %s  password %s\n", a.HTTP, engine.AnalystUser, a.AnalystPassword)
		fmt.Printf("\n  curl -s -u %s:%s '%s/?database=%s' --data-binary \\\n    \"SELECT ts, value FROM samples WHERE metric = 'system.cpu.utilization' ORDER BY ts DESC LIMIT 10\"\n",
			engine.AnalystUser, a.AnalystPassword, a.HTTP, engine.Database)
	}
	fmt.Println()
}

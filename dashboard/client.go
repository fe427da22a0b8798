package dashboard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// parseProxies reads addresses and CIDRs.
func parseProxies(texts []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			prefixes[i] = netip.PrefixFrom(address, address.BitLen())
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted proxy %q: give an address or a CIDR, for example 10.0.0.0/8", text)
		}
		prefixes[i] = prefix.Masked()
	}
	return prefixes, nil
}

func (a *App) isProxy(address netip.Addr) bool {
	return slices.ContainsFunc(a.proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

// clientAddress is who made the request: the peer, or where that is a trusted proxy, the one it
// names. Each proxy adds its client at the end of X-Forwarded-For, so that is read backwards and
// only as far as trusted proxies wrote it; what stands before came from the client itself.
func (a *App) clientAddress(c *fiber.Ctx) netip.Addr {
	client, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	client = client.Unmap()
	var named []string
	for _, header := range c.Request().Header.PeekAll(fiber.HeaderXForwardedFor) {
		named = append(named, strings.Split(string(header), ",")...)
	}
	for _, name := range slices.Backward(named) {
		if !a.isProxy(client) {
			break
		}
		address, err := netip.ParseAddr(strings.TrimSpace(name))
		if err != nil {
			break
		}
		client = address.Unmap().WithZone("")
	}
	return client
}

package main

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// clientAddress is where a request comes from: who connected, or, when that is a proxy that is to be
// believed, whom it names. Of the names that proxies added, the last one that is no such proxy counts:
// those before it are the client's own to write.
func clientAddress(proxies []netip.Prefix) func(*http.Request) netip.Addr {
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) netip.Addr {
		connected, _ := netip.ParseAddrPort(r.RemoteAddr)
		from := connected.Addr().Unmap().WithZone("")
		named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, name := range slices.Backward(named) {
			if !trusted(from) {
				break
			}
			a, err := netip.ParseAddr(strings.TrimSpace(name))
			if err != nil {
				break
			}
			from = a.Unmap().WithZone("")
		}
		return from
	}
}

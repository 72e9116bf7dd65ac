package render

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"

	"weir/ops/inventory"
)

var ipv4 = regexp.MustCompile(`\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`)

// Moved is the same cluster in another network of the same size: every host keeps its number, so
// 192.168.1.21 of 192.168.1.0/24 becomes 10.9.8.21 of 10.9.8.0/24. It is for machines whose own
// network has the addresses of the inventory already.
func Moved(inv *inventory.Inventory, to netip.Prefix) (*inventory.Inventory, error) {
	from := inv.Network.Prefix
	if to = to.Masked(); to == from {
		return inv, nil
	}
	if !to.Addr().Is4() || to.Bits() != from.Bits() {
		return nil, fmt.Errorf("move the cluster to %s: it must be an IPv4 network of the size of %s", to, from)
	}
	// In the text, as the machines get a copy of it.
	body := ipv4.ReplaceAllFunc(inv.YAML(), func(text []byte) []byte {
		a, err := netip.ParseAddr(string(text))
		if err != nil || !from.Contains(a) {
			return text
		}
		return []byte(sameHost(a, to).String())
	})
	return inventory.Parse("inventory moved to "+to.String(), body)
}

// sameHost is the address in another network with the host's number of a.
func sameHost(a netip.Addr, to netip.Prefix) netip.Addr {
	number, network := a.As4(), to.Addr().As4()
	host := binary.BigEndian.Uint32(number[:]) & (^uint32(0) >> to.Bits())
	binary.BigEndian.PutUint32(number[:], binary.BigEndian.Uint32(network[:])|host)
	return netip.AddrFrom4(number)
}

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// nobody is a hardware address that no host has: what is sent to it is lost without a word, as on
// a broken line. A blackhole route would tell the sender at once.
var nobody = net.HardwareAddr{0x02, 0, 0, 0, 0, 0x01}

// cut takes a host off the network. The carrier stays, as when a switch stops forwarding: the host
// is not told. With from, a comma-separated list, only the traffic with those hosts is lost.
func (s *netSwitch) cut(p *port, from string) error {
	if from == "" {
		if err := s.unslow(p); err != nil {
			return err
		}
		p.cut = true
		return netlink.LinkSetNoMaster(p.link)
	}
	for name := range strings.SplitSeq(from, ",") {
		other, ok := s.ports[strings.TrimSpace(name)]
		if !ok {
			return fmt.Errorf("no host %q in this lab", name)
		}
		if other == p {
			return fmt.Errorf("host %s cannot be cut off from itself", name)
		}
		if err := s.neighbour(p, other.host.Address.Addr, (*netlink.Handle).NeighSet); err != nil {
			return err
		}
		p.from = append(p.from, other.host.Address.Addr)
	}
	return nil
}

// heal undoes cut and slow.
func (s *netSwitch) heal(p *port) error {
	for _, addr := range p.from {
		if err := s.neighbour(p, addr, (*netlink.Handle).NeighDel); err != nil && !errors.Is(err, syscall.ENOENT) {
			return err
		}
	}
	p.from = nil
	if err := s.unslow(p); err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(p.link, s.bridge); err != nil {
		return err
	}
	p.cut = false
	return nil
}

// neighbour changes what a host believes is the hardware address of another.
func (s *netSwitch) neighbour(p *port, addr netip.Addr, change func(*netlink.Handle, *netlink.Neigh) error) error {
	ns, err := netns.GetFromPid(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer inside.Close()
	eth, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	return change(inside, &netlink.Neigh{
		LinkIndex: eth.Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: addr.AsSlice(), HardwareAddr: nobody,
	})
}

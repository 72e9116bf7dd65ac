package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// relay carries the frames between a host's cable and the bridge itself, late and with losses.
// The kernel's own netem does the same, but is a module that many machines do not have.
type relay struct {
	delay   time.Duration
	loss    float64 // 0 to 1
	sockets [2]*os.File
	spare   netlink.Link // the cable from the relay to the bridge
}

const (
	frameSize  = 10 + 14 + 65536 // virtio header, Ethernet header, the largest segment the kernel hands over
	frameQueue = 4096            // frames under way in one direction; more are lost, as in a real queue
)

func (r *relay) String() string {
	return fmt.Sprintf("delay %s, loss %g %%", r.delay, r.loss*100)
}

// slow makes a host's line slow: delay each way, and loss in per cent of the frames each way.
func (s *netSwitch) slow(p *port, delay, loss string) error {
	r := &relay{}
	var err error
	if delay != "" {
		if r.delay, err = time.ParseDuration(delay); err != nil || r.delay < 0 || r.delay > 10*time.Second {
			return fmt.Errorf("delay %q: a duration from 0 to 10s, such as 50ms", delay)
		}
	}
	if loss != "" {
		percent, err := strconv.ParseFloat(loss, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return fmt.Errorf("loss %q: per cent of the frames, 0 to 100", loss)
		}
		r.loss = percent / 100
	}
	if err := s.unslow(p); err != nil {
		return err
	}
	return s.insert(p, r)
}

// insert takes the host's cable off the bridge and puts the relay between.
func (s *netSwitch) insert(p *port, r *relay) error {
	name := "slow" + strconv.Itoa(p.index)
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: name, MasterIndex: s.bridge.Index})
	veth.PeerName = name + "r"
	if err := netlink.LinkAdd(veth); err != nil {
		return err
	}
	peer, err := netlink.LinkByName(veth.PeerName)
	if err != nil {
		return err
	}
	r.spare = veth
	for i, link := range []netlink.Link{p.link, peer} {
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		if r.sockets[i], err = packetSocket(link); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return err
	}
	if err := netlink.LinkSetNoMaster(p.link); err != nil {
		return err
	}
	p.relay, p.cut = r, false
	go r.carry(r.sockets[0], r.sockets[1])
	go r.carry(r.sockets[1], r.sockets[0])
	return nil
}

// unslow takes the relay out; the caller decides whether the cable goes back on the bridge.
func (s *netSwitch) unslow(p *port) error {
	r := p.relay
	if r == nil {
		return nil
	}
	p.relay = nil
	for _, socket := range r.sockets {
		socket.Close() // ends the readers
	}
	if err := netlink.LinkDel(r.spare); err != nil {
		return err
	}
	return netlink.LinkSetMaster(p.link, s.bridge)
}

// packetSocket reads and writes whole frames of one link. The virtio header before each carries
// unfinished checksums and large segments through unharmed.
func packetSocket(link netlink.Link) (*os.File, error) {
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", link.Attrs().Name, err)
	}
	return os.NewFile(uintptr(fd), link.Attrs().Name), nil
}

type frame struct {
	due  time.Time
	body []byte
}

// carry moves frames in one direction until a socket is closed.
func (r *relay) carry(from, to *os.File) {
	queue := make(chan frame, frameQueue)
	defer close(queue)
	go func() {
		for f := range queue {
			time.Sleep(time.Until(f.due))
			to.Write(f.body) // lost when the link is gone: it is a network
		}
	}()
	buf := make([]byte, frameSize)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || rand.Float64() < r.loss {
			continue
		}
		select {
		case queue <- frame{time.Now().Add(r.delay), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

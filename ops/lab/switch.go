package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"weir/ops/render"
)

// The arguments with which this program starts itself for the lab's own processes.
const (
	switchCommand = "lab-switch"
	hostCommand   = "lab-host"
	bridgeName    = "br0"
	firstListener = 3 // the first file descriptor after standard error
)

// Hidden runs the part of the lab that this program was started as, and reports whether it was one.
// Every program that calls Up needs it first thing in main: the lab starts that program again.
func Hidden() bool {
	if len(os.Args) < 3 {
		return false
	}
	var err error
	switch os.Args[1] {
	case switchCommand:
		err = runSwitch(&Lab{Dir: os.Args[2]})
	case hostCommand:
		err = runHost(os.Args[2])
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
	return true
}

var bridgeAddr = net.HardwareAddr{0x02, 0x77, 0x65, 0x69, 0x72, 0x01}

// netSwitch is the sealed network: a bridge, and one port and one process a host.
type netSwitch struct {
	lab    *Lab
	plan   *plan
	bridge *netlink.Bridge

	mu    sync.Mutex
	ports map[string]*port
}

// port is where one host is plugged in.
type port struct {
	host  render.Host
	index int
	link  netlink.Link // the bridge's end of the cable
	cmd   *exec.Cmd
	gone  chan struct{} // closed when the host's first process has ended
	relay *relay        // set while the line is slow
	cut   bool
	from  []netip.Addr // addresses the host is cut off from
}

// runSwitch is the lab's first process. It is alone in its network, PID and mount namespaces, but
// for the listeners it inherits, which belong to the outside loopback.
func runSwitch(l *Lab) error {
	p, err := l.readPlan()
	if err != nil {
		return err
	}
	s := &netSwitch{lab: l, plan: p, ports: map[string]*port{}}
	if err := s.build(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	for i, h := range s.plan.Hosts {
		if err := s.boot(h, i); err != nil {
			return fmt.Errorf("host %s: %w", h.Name, err)
		}
	}
	for i, f := range s.plan.Forwards {
		if err := forward(firstListener+i, f.Target); err != nil {
			return fmt.Errorf("forward %s: %w", f.Listen, err)
		}
	}
	ln, err := net.Listen("unix", filepath.Join(l.runDir(), "switch.sock"))
	if err != nil {
		return err
	}
	go http.Serve(ln, s.handler())
	slog.Info("the lab is plugged together", "hosts", len(s.plan.Hosts))
	<-stop
	s.powerOff()
	return nil
}

// build makes the bridge. The switch's own address is on it: forwards come from there.
func (s *netSwitch) build() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// /proc of this PID namespace: hosts are found by the process numbers seen here.
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := raiseFiles(s.plan.Files); err != nil {
		return err
	}
	if err := plainBridge(); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	// Its own hardware address: a bridge without one takes the lowest of its ports', and another when
	// that port is cut off, which no host would know.
	s.bridge = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, HardwareAddr: bridgeAddr}}
	if err := netlink.LinkAdd(s.bridge); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	addr, err := netlink.ParseAddr(s.plan.Gateway)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(s.bridge, addr); err != nil {
		return err
	}
	return netlink.LinkSetUp(s.bridge)
}

// plainBridge keeps bridged frames out of iptables, where the kernel would take them on machines that
// filter them: a switch does not, and it costs every frame.
func plainBridge() error {
	files, _ := filepath.Glob("/proc/sys/net/bridge/bridge-nf-call-*")
	for _, file := range files {
		if err := os.WriteFile(file, []byte("0"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// boot starts a host: its first process in namespaces of its own, and a cable from there to here.
func (s *netSwitch) boot(h render.Host, index int) error {
	socket := filepath.Join(s.lab.runDir(), h.Name+".sock")
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	logs := s.lab.logDir(h.Name)
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	console, err := os.OpenFile(filepath.Join(logs, "host.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := exec.Command("/proc/self/exe", hostCommand, socket)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
			unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &port{host: h, index: index, cmd: cmd, gone: make(chan struct{})}
	go func() {
		cmd.Wait()
		slog.Info("host ended", "host", h.Name, "how", cmd.ProcessState.String())
		close(p.gone)
	}()
	// The host waits for its description, so its end of the cable is there before it looks.
	if err := s.plug(p); err != nil {
		cmd.Process.Kill()
		return err
	}
	s.mu.Lock()
	s.ports[h.Name] = p
	s.mu.Unlock()
	defer stdin.Close()
	return json.NewEncoder(stdin).Encode(s.specOf(h))
}

func (s *netSwitch) specOf(h render.Host) hostSpec {
	prefix := netip.MustParsePrefix(s.plan.Network)
	known := map[string]string{}
	for _, other := range s.plan.Hosts {
		known[other.Name] = other.Address.String()
	}
	return hostSpec{
		Host: h, Address: netip.PrefixFrom(h.Address.Addr, prefix.Bits()).String(),
		Rootfs: s.plan.Rootfs, Disk: s.lab.diskDir(h.Name), Logs: s.lab.logDir(h.Name),
		Bin: s.plan.Bin, Files: s.plan.Files, Known: known,
	}
}

// plug lays the cable. Its name inside is eth0, as the rendered files have it.
func (s *netSwitch) plug(p *port) error {
	name := "port" + strconv.Itoa(p.index)
	if old, err := netlink.LinkByName(name); err == nil { // of the host's earlier life
		if err := netlink.LinkDel(old); err != nil {
			return err
		}
	}
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: name, MasterIndex: s.bridge.Index})
	veth.PeerName, veth.PeerNamespace = "eth0", netlink.NsPid(p.cmd.Process.Pid)
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("cable: %w", err)
	}
	p.link = veth
	// A port that is off the bridge would else answer for the switch's own address: half a cut.
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/arp_ignore", []byte("8"), 0o644); err != nil {
		return err
	}
	return netlink.LinkSetUp(veth)
}

// forward passes what comes in on an inherited listener to target, for as long as the lab lives.
func forward(fd int, target string) error {
	file := os.NewFile(uintptr(fd), "forward")
	defer file.Close() // FileListener has its own copy
	ln, err := net.FileListener(file)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				time.Sleep(100 * time.Millisecond) // places come back as connections end
				continue
			}
			if err != nil {
				slog.Error("forward ended", "target", target, "error", err)
				return
			}
			go splice(conn.(*net.TCPConn), target)
		}
	}()
	return nil
}

func splice(in *net.TCPConn, target string) {
	defer in.Close()
	conn, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		return
	}
	out := conn.(*net.TCPConn)
	defer out.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		io.Copy(in, out)
		in.CloseWrite()
	}()
	io.Copy(out, in)
	out.CloseWrite()
	<-back
}

// powerOff stops every host cleanly; what is left then ends with this process.
func (s *netSwitch) powerOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ports {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	late := time.After(stopTimeout + 5*time.Second)
	for _, p := range s.ports {
		select {
		case <-p.gone:
		case <-late:
			slog.Error("host did not stop", "host", p.host.Name)
			return
		}
	}
}

// handler serves the switch's control socket.
//
//	GET  /hosts                      [{name, address, up, cut, cut_from, slow}]
//	POST /hosts/NAME/cut?from=A,B    off the network, or off from those hosts only
//	POST /hosts/NAME/heal            back on it, at full speed
//	POST /hosts/NAME/slow?delay=50ms&loss=1
//	POST /hosts/NAME/off | /on       power
func (s *netSwitch) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hosts", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(s.hosts())
	})
	mux.HandleFunc("POST /hosts/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.act(r.Context(), r.PathValue("name"), r.PathValue("verb"), r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}

// HostStatus is one host as the switch sees it.
type HostStatus struct {
	Name    string   `json:"name"`
	Address string   `json:"address"`
	Up      bool     `json:"up"`
	Cut     bool     `json:"cut,omitempty"`
	CutFrom []string `json:"cut_from,omitempty"`
	Slow    string   `json:"slow,omitempty"`
}

func (s *netSwitch) hosts() []HostStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []HostStatus
	for _, h := range s.plan.Hosts {
		p := s.ports[h.Name]
		st := HostStatus{Name: h.Name, Address: h.Address.String(), Up: p.up(), Cut: p.cut}
		for _, a := range p.from {
			st.CutFrom = append(st.CutFrom, a.String())
		}
		if p.relay != nil {
			st.Slow = p.relay.String()
		}
		out = append(out, st)
	}
	return out
}

func (p *port) up() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

func (s *netSwitch) act(ctx context.Context, name, verb string, r *http.Request) error {
	s.mu.Lock()
	p, ok := s.ports[name]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("no host %q in this lab", name)
	}
	switch verb {
	case "off":
		p.cmd.Process.Kill()
		<-p.gone
		return nil
	case "on":
		if p.up() {
			return fmt.Errorf("host %s is on", name)
		}
		return s.boot(p.host, p.index)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.up() {
		return fmt.Errorf("host %s is off: weir start %s", name, name)
	}
	switch verb {
	case "cut":
		return s.cut(p, r.FormValue("from"))
	case "heal":
		return s.heal(p)
	case "slow":
		return s.slow(p, r.FormValue("delay"), r.FormValue("loss"))
	}
	return fmt.Errorf("unknown order %q", verb)
}

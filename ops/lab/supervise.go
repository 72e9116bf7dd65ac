package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"weir/ops/inventory"
)

// How the supervisor behaves, after the systemd units that provision.sh ships.
const (
	restartDelay = 100 * time.Millisecond // RestartSec=100ms
	restartSlow  = time.Second            // after quickExits in a row, so that a broken file is not a busy loop
	quickExits   = 5
	quickExit    = time.Second
	stopTimeout  = 10 * time.Second // TimeoutStopSec: then SIGKILL
	readyPoll    = 10 * time.Millisecond
)

// State of one process.
type State string

const (
	Preparing State = "preparing" // its Prepare command runs
	Starting  State = "starting"  // started; its port does not accept yet
	Running   State = "running"
	Frozen    State = "frozen"  // SIGSTOP
	Stopped   State = "stopped" // stays down until it is started
	Waiting   State = "waiting" // it ended by itself and is about to be started again
)

// Status of one process, as the control socket tells it.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"` // inside the host
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Last     string    `json:"last,omitempty"` // how the last run ended
}

// supervisor is what systemd is on a real machine: it starts the host's processes and starts them
// again when they end. As the first process of its PID namespace it also reaps what they orphan.
type supervisor struct {
	address string // where Ready ports are tried
	logs    string
	reaper  *reaper

	mu    sync.Mutex
	order []*unit
}

// unit is one process. All its fields are guarded by the supervisor's lock.
type unit struct {
	spec inventory.Process
	Status
	wanted  bool
	quick   int           // exits in a row that came at once
	changed chan struct{} // closed and replaced whenever Status or wanted changes
}

func newSupervisor(address, logs string) *supervisor {
	return &supervisor{address: address, logs: logs, reaper: startReaper()}
}

func (s *supervisor) add(p inventory.Process) {
	u := &unit{spec: p, wanted: true, changed: make(chan struct{})}
	u.Status = Status{Name: p.Name, State: Waiting, Since: time.Now()}
	s.mu.Lock()
	s.order = append(s.order, u)
	s.mu.Unlock()
	go s.keep(u)
}

// keep runs one process again and again, for as long as the host lives.
func (s *supervisor) keep(u *unit) {
	for {
		s.await(context.Background(), u, func() bool { return u.wanted })
		started := time.Now()
		how := s.run(u)
		s.update(u, func() {
			u.PID, u.Last = 0, how
			u.State = Waiting
			if !u.wanted {
				u.State = Stopped
			}
			u.Restarts++
			if u.quick++; time.Since(started) > quickExit {
				u.quick = 0
			}
		})
		s.note(u, "ended: "+how)
		delay := restartDelay
		if u.quick > quickExits {
			delay = restartSlow
		}
		time.Sleep(delay)
	}
}

// run is one life of a process: prepare, start, wait until it accepts, wait until it ends.
func (s *supervisor) run(u *unit) string {
	if len(u.spec.Prepare) > 0 {
		s.update(u, func() { u.State = Preparing })
		if err := s.toEnd(u, u.spec.Prepare); err != nil {
			return "prepare " + err.Error()
		}
	}
	child := s.start(u.spec.Argv, u, u.spec.User)
	if child.err != nil {
		return "start: " + child.err.Error()
	}
	s.update(u, func() { u.State, u.PID = Starting, child.pid })
	s.note(u, "started")
	gone := make(chan struct{})
	go s.becomeReady(u, child.pid, gone)
	how, _ := child.wait()
	close(gone)
	// What it left behind would hold its port or its files: KillMode=control-group.
	syscall.Kill(-child.pid, syscall.SIGKILL)
	if len(u.spec.Cleanup) > 0 {
		if err := s.toEnd(u, u.spec.Cleanup); err != nil {
			s.note(u, err.Error())
		}
	}
	return how
}

// becomeReady waits for the process to accept connections, runs its After command, and says so.
func (s *supervisor) becomeReady(u *unit, pid int, gone <-chan struct{}) {
	address := net.JoinHostPort(s.address, strconv.Itoa(u.spec.Ready))
	for u.spec.Ready != 0 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-gone:
			return
		case <-time.After(readyPoll):
		}
	}
	if len(u.spec.After) > 0 {
		if err := s.toEnd(u, u.spec.After); err != nil {
			s.note(u, err.Error())
			syscall.Kill(pid, stopSignal(u.spec)) // started again, and with it the command, as ExecStartPost= does
			return
		}
	}
	s.update(u, func() {
		if u.PID == pid && u.State == Starting {
			u.State = Running
		}
	})
}

// toEnd runs one of a unit's commands, as root, to its end.
func (s *supervisor) toEnd(u *unit, argv []string) error {
	how, err := s.start(argv, u, "").wait()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", argv[0], err)
	case how != "exit 0":
		return fmt.Errorf("%s: %s", argv[0], how)
	}
	return nil
}

func (s *supervisor) update(u *unit, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := u.State
	change()
	if u.State != before {
		u.Since = time.Now()
	}
	close(u.changed)
	u.changed = make(chan struct{})
}

// await blocks until the condition, looked at under the lock, holds.
func (s *supervisor) await(ctx context.Context, u *unit, holds func() bool) error {
	for {
		s.mu.Lock()
		ok, changed, state := holds(), u.changed, u.State
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s is %s: %w", u.Name, state, ctx.Err())
		}
	}
}

// note writes what the supervisor did beside the process's own log.
func (s *supervisor) note(u *unit, text string) {
	f, err := os.OpenFile(filepath.Join(s.logs, "supervisor.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), u.Name, text)
}

// start runs a command for a unit, in a session of its own, its output in the unit's log.
func (s *supervisor) start(argv []string, u *unit, userName string) *child {
	env, err := environment(u.spec.EnvFile)
	if err != nil {
		return &child{err: err}
	}
	out, err := os.OpenFile(filepath.Join(s.logs, u.Name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return &child{err: err}
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return &child{err: err}
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: "/", Env: env,
		Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if userName != "" {
		uid, gid, err := owner(userName)
		if err != nil {
			return &child{err: err}
		}
		// Not through su: it resets the file limit to 1,024.
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return s.reaper.start(argv, attr)
}

// environment is what a process starts with, and what its file adds.
func environment(file string) ([]string, error) {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/"}
	if file == "" {
		return env, nil
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			env = append(env, line)
		}
	}
	return env, nil
}

// act does one order of the command line. It returns when the order has taken effect.
func (s *supervisor) act(ctx context.Context, u *unit, verb string, stayDown bool) error {
	s.mu.Lock()
	pid := u.PID
	s.mu.Unlock()
	if pid == 0 && verb != "start" && verb != "stop" {
		return fmt.Errorf("%s is not running", u.Name)
	}
	switch verb {
	case "kill":
		if stayDown {
			s.update(u, func() { u.wanted = false })
		}
		signalTree(pid, syscall.SIGKILL)
		return s.await(ctx, u, func() bool { return u.PID != pid })
	case "stop":
		return s.stop(ctx, u)
	case "start":
		s.update(u, func() { u.wanted, u.quick = true, 0 })
		return s.await(ctx, u, func() bool { return u.State == Running })
	case "restart":
		syscall.Kill(pid, stopSignal(u.spec))
		return s.await(ctx, u, func() bool { return u.PID != pid && u.State == Running })
	case "freeze":
		signalTree(pid, syscall.SIGSTOP)
		s.update(u, func() { u.State = Frozen })
	case "thaw":
		signalTree(pid, syscall.SIGCONT)
		s.update(u, func() { u.State = Running })
	case "reload":
		if u.spec.Reload == 0 {
			return fmt.Errorf("%s cannot reload: restart it", u.Name)
		}
		return syscall.Kill(pid, syscall.Signal(u.spec.Reload))
	default:
		return fmt.Errorf("unknown order %q", verb)
	}
	return nil
}

// stop ends a process as systemd does: its stop signal, and SIGKILL when it takes too long.
func (s *supervisor) stop(ctx context.Context, u *unit) error {
	s.mu.Lock()
	pid := u.PID
	s.mu.Unlock()
	s.update(u, func() {
		u.wanted = false
		if u.PID == 0 {
			u.State = Stopped
		}
	})
	if pid == 0 {
		return nil
	}
	signalTree(pid, syscall.SIGCONT) // a frozen process cannot stop
	syscall.Kill(pid, stopSignal(u.spec))
	late := time.AfterFunc(stopTimeout, func() { signalTree(pid, syscall.SIGKILL) })
	defer late.Stop()
	return s.await(ctx, u, func() bool { return u.PID != pid })
}

// stopAll ends every process, all at once: they are of one machine and do not wait for each other.
func (s *supervisor) stopAll() {
	var wg sync.WaitGroup
	for _, u := range s.order {
		wg.Go(func() { s.stop(context.Background(), u) })
	}
	wg.Wait()
}

func stopSignal(p inventory.Process) syscall.Signal {
	if p.Stop == 0 {
		return syscall.SIGTERM
	}
	return syscall.Signal(p.Stop)
}

// signalTree signals a process and all its descendants. Those are found first: once the parent is
// gone they are orphans of process 1.
func signalTree(pid int, sig syscall.Signal) {
	for _, p := range append([]int{pid}, descendants(pid)...) {
		syscall.Kill(p, sig)
	}
}

func descendants(root int) []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		body, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// pid (name) state ppid; the name may hold spaces and brackets.
		text := string(body)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	var out []int
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		out = append(out, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return out
}

// handler serves the host's control socket: GET /processes, POST /processes/NAME/VERB.
// NAME reaches all processes of that name: "haproxy" also means "haproxy-2".
func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /processes", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(s.statuses())
	})
	mux.HandleFunc("POST /processes/{name}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		err := s.command(r.Context(), r.PathValue("name"), r.PathValue("verb"), r.FormValue("stay-down") != "")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}

func (s *supervisor) statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Status, len(s.order))
	for i, u := range s.order {
		out[i] = u.Status
	}
	return out
}

// command does one order on every process that name means, at the same time.
func (s *supervisor) command(ctx context.Context, name, verb string, stayDown bool) error {
	units := s.named(name)
	if len(units) == 0 {
		var have []string
		for _, u := range s.order {
			have = append(have, u.Name)
		}
		return fmt.Errorf("no process %q here: there are %s", name, strings.Join(have, ", "))
	}
	errs := make([]error, len(units))
	var wg sync.WaitGroup
	for i, u := range units {
		wg.Go(func() { errs[i] = s.act(ctx, u, verb, stayDown) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *supervisor) named(name string) []*unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*unit
	for _, u := range s.order {
		base, n, _ := strings.Cut(u.Name, "-")
		if _, err := strconv.Atoi(n); u.Name == name || (err == nil && base == name) {
			out = append(out, u)
		}
	}
	return out
}

// reaper collects every child that ends, its own and the orphans, and tells whoever waits.
// os/exec cannot: its Wait and a wait for any child take each other's results.
type reaper struct {
	mu   sync.Mutex // held while starting, so that no child ends before it is known
	wait map[int]chan syscall.WaitStatus
}

type child struct {
	pid  int
	err  error
	done chan syscall.WaitStatus
}

func startReaper() *reaper {
	r := &reaper{wait: map[int]chan syscall.WaitStatus{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			r.reap()
		}
	}()
	return r
}

func (r *reaper) reap() {
	for {
		r.mu.Lock()
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		done := r.wait[pid]
		delete(r.wait, pid)
		r.mu.Unlock()
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return
		}
		if done != nil {
			done <- ws
		}
	}
}

func (r *reaper) start(argv []string, attr *syscall.ProcAttr) *child {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		return &child{err: fmt.Errorf("%s: %w", argv[0], err)}
	}
	c := &child{pid: pid, done: make(chan syscall.WaitStatus, 1)}
	r.wait[pid] = c.done
	return c
}

// wait returns how the child ended: "exit 0", "signal: killed".
func (c *child) wait() (string, error) {
	if c.err != nil {
		return "", c.err
	}
	ws := <-c.done
	if ws.Signaled() {
		return "signal: " + ws.Signal().String(), nil
	}
	return "exit " + strconv.Itoa(ws.ExitStatus()), nil
}

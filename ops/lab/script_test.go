package lab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"weir/ops/bench"
	"weir/ops/haproxy"
	"weir/ops/lab"
)

// TestMain lets this test program be the lab's own processes as well: the lab starts the program
// that called it.
func TestMain(m *testing.M) {
	if lab.Hidden() {
		return
	}
	code := m.Run()
	if dir, err := buildPrograms(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// TestScripts runs what happens in testdata on one lab. A script leaves the chain as it found it:
// the next one refuses to start otherwise.
func TestScripts(t *testing.T) {
	w := startWorld(t, "scripts", nil)
	testscript.RunT(oneByOne{t}, testscript.Params{Dir: "testdata/chain", Cmds: w.verbs(), Setup: w.setup})
}

// oneByOne keeps scripts from running at the same time: they share one lab, and break it.
type oneByOne struct{ *testing.T }

func (oneByOne) Parallel() {}

func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

func (oneByOne) Verbose() bool { return testing.Verbose() }

// setup makes sure that a script begins with everything serving.
func (w *world) setup(env *testscript.Env) error {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	if err := w.settle(ctx); err != nil {
		return fmt.Errorf("the chain is not whole before this script: %w", err)
	}
	s := &script{world: w, env: env, acted: time.Now()}
	if w.slack != nil {
		if err := w.forget(ctx); err != nil {
			return err
		}
		s.postsBefore = w.slack.channel()
	}
	env.Values[scriptKey{}] = s
	env.Defer(s.end)
	s.setRoles(ctx, env.Setenv)
	return nil
}

type scriptKey struct{}

// script is the state of one running script.
type script struct {
	*world
	env     *testscript.Env
	gap     *bench.Gap
	results []bench.GapResult
	crowd   *crowd
	phase   float64 // of a measure: how far its fault lies between two attempts, 0 to 1
	watch   *holderWatch

	acted       time.Time // when the last order was given
	postsBefore int       // messages in the channel before the script
}

func (s *script) end() {
	if s.gap != nil {
		s.gap.Stop()
	}
	if s.crowd != nil {
		s.crowd.close()
	}
	if s.watch != nil {
		s.watch.stop()
	}
	s.mend()
}

// mend undoes what a script that failed half-way left broken, so that the next one is judged by itself.
func (w *world) mend() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	hosts, err := w.lab.Hosts(ctx)
	for _, h := range hosts {
		if !h.Up {
			err = errors.Join(err, w.lab.Power(ctx, h.Name, true))
		} else if h.Cut || len(h.CutFrom) > 0 || h.Slow != "" {
			err = errors.Join(err, w.lab.Heal(ctx, h.Name))
		}
	}
	processes, listErr := w.lab.Processes(ctx)
	err = errors.Join(err, listErr)
	for _, p := range processes {
		switch p.State {
		case lab.Stopped:
			err = errors.Join(err, w.lab.Order(ctx, "start", p.Host, p.Name, false))
		case lab.Frozen:
			err = errors.Join(err, w.lab.Order(ctx, "thaw", p.Host, p.Name, false))
		}
	}
	err = errors.Join(err, w.takeBack(ctx))
	if err != nil {
		w.t.Errorf("mend the chain after a script: %v", err)
	}
}

// takeBack ends an operator's orders that are left.
func (w *world) takeBack(ctx context.Context) (err error) {
	for _, n := range w.inv.HAProxy.Nodes {
		c := w.parts.Nodes[n.Name]
		stats, statsErr := c.Stats(ctx)
		if statsErr != nil {
			continue // a node that is still on its way has no orders either
		}
		for _, p := range w.inv.PgBouncer.Poolers {
			if row, ok := stats.Find(haproxy.Poolers, p.Name); ok && row.Admin != haproxy.Ready {
				err = errors.Join(err, c.SetServer(ctx, haproxy.Poolers, p.Name, haproxy.Ready))
			}
		}
	}
	return err
}

// verbs are the words of the scripts.
//
//	weir ARGUMENTS                                            the operator's command itself
//	until DURATION CONDITION                                  fails when it does not become true
//	stays DURATION CONDITION                                  fails when it does not stay true
//	roles                                                     sets $HOLDER and $STANDBY anew
//	gap start | gap stop [GRACE]                              measures new connections meanwhile; who waits still gets GRACE
//	bound WHAT MAXIMUM                                        of the median of the gaps measured; unfinished: of the worst
//	measure N FILE                                            runs the lines of FILE N times
//	every PERIOD                                              within FILE: until so long after the last order
//	crowd N | crowd whole                                     N connected clients that go on querying
//	pause | resume                                            every pooler
//	empty DURATION POOLER                                     fails when it still carries sessions then
//	sql QUERY | prepared N | cancel N | login ROLE refused    through the VIP
//	stats WITH|WITHOUT-PASSWORD CODE                          the statistics page of both nodes
//	server ready|drain|maint POOLER                           an operator's order on both nodes
//	slack ok|429|500|hang                                     how the Slack that the monitor tells answers
//	tells LIMIT EVENT CAUSE [late]                            the next thing told
//	since                                                     the change that is told next is now
//	eventually LIMIT EVENT CAUSE                              told at last; before it only the same cause
//	ignore CAUSE                                              what may be told, and need not be
//	channel LIMIT TEXT                                        a message in the channel begins so
//	delivered                                                 the monitor knows that all was accepted
//	quiet DURATION                                            nothing is told
//	posts N                                                   messages in the channel so far
//	rows QUERY                                                becomes true in Weir's own database
func (w *world) verbs() map[string]func(*testscript.TestScript, bool, []string) {
	verbs := map[string]func(*testscript.TestScript, bool, []string){}
	for name, do := range map[string]func(*script, context.Context, []string) error{
		"weir":  (*script).weir,
		"until": (*script).until, "stays": (*script).stays, "roles": (*script).roles, "empty": (*script).empty,
		"gap": (*script).doGap, "bound": (*script).bound, "measure": (*script).measure, "crowd": (*script).doCrowd,
		"pause": (*script).pause, "resume": (*script).resume, "hold": (*script).hold,
		"sql": (*script).sql, "prepared": (*script).prepared, "cancel": (*script).cancel, "login": (*script).login,
		"stats": (*script).stats, "holders": (*script).watchHolders,
		"slack": (*script).doSlack, "tells": (*script).tells, "quiet": (*script).quiet, "posts": (*script).posts,
		"since": (*script).since, "ignore": (*script).ignore, "delivered": (*script).delivered, "eventually": (*script).eventually, "channel": (*script).channelSays,
		"server": (*script).server, "rows": (*script).rows,
	} {
		verbs[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			s := ts.Value(scriptKey{}).(*script)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			err := do(s, ctx, append([]string{name}, args...))
			if neg && err == nil {
				ts.Fatalf("%s %s: did not fail", name, strings.Join(args, " "))
			}
			if !neg && err != nil {
				ts.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, w.describe(ctx))
			}
			if neg {
				ts.Logf("refused: %v", err)
			}
			s.setRoles(ctx, ts.Setenv)
		}
	}
	verbs["psql"] = w.psql
	return verbs
}

// psql runs on the client machine; its output is the script's stdout.
func (w *world) psql(ts *testscript.TestScript, neg bool, args []string) {
	argv, err := w.lab.EnterCommand(lab.ClientHost, append([]string{"/usr/bin/env", "HOME=/root", "psql", "-X", "-h", w.inv.VIP.Address.String(), "-U", "postgres"}, args...))
	ts.Check(err)
	if err := ts.Exec(argv[0], argv[1:]...); (err != nil) != neg {
		ts.Fatalf("psql %s: %v", strings.Join(args, " "), err)
	}
}

// watchHolders looks at the kernels' own addresses all the time: "holders start", then
// "holders bound LIMIT" fails when two nodes had the VIP for longer without a break.
func (s *script) watchHolders(_ context.Context, args []string) error {
	if args[1] == "start" {
		s.watch = startHolderWatch(s.world)
		return nil
	}
	limit, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	two, none := s.watch.stop()
	s.watch = nil
	s.logf("two holders for at most %s, none for at most %s", two.Round(time.Millisecond), none.Round(time.Millisecond))
	if two > limit {
		return fmt.Errorf("two nodes had the VIP for %s", two)
	}
	return nil
}

// weir runs the operator's command on this lab, as a person would.
func (s *script) weir(ctx context.Context, args []string) error {
	s.logf("%s", strings.Join(args, " "))
	s.acted = time.Now()
	args = append([]string{"--home", s.lab.Home, "--lab", s.lab.Name}, args[1:]...)
	out, err := exec.CommandContext(ctx, s.program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// look is how often a condition is looked at.
const look = 20 * time.Millisecond

func (s *script) until(ctx context.Context, args []string) error {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	began := time.Now()
	for {
		err := s.condition(ctx, args[2:])
		if err == nil {
			s.logf("%s: after %s", strings.Join(args[2:], " "), time.Since(began).Round(time.Millisecond))
			return nil
		}
		if time.Since(began) > limit {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		time.Sleep(look)
	}
}

func (s *script) stays(ctx context.Context, args []string) error {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < limit; time.Sleep(look) {
		if err := s.condition(ctx, args[2:]); err != nil {
			return fmt.Errorf("not any more after %s: %w", time.Since(began).Round(time.Millisecond), err)
		}
	}
	return nil
}

// empty waits until neither HAProxy has a session on a pooler.
func (s *script) empty(ctx context.Context, args []string) error {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	for _, n := range s.inv.HAProxy.Nodes {
		for {
			stats, err := s.parts.Nodes[n.Name].Stats(ctx)
			if err != nil {
				return err
			}
			row, ok := stats.Find(haproxy.Poolers, args[2])
			if ok && row.Sessions == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s has %d sessions on %s after %s", n.Name, row.Sessions, args[2], limit)
			case <-time.After(look):
			}
		}
	}
	s.logf("%s carries nobody: after %s", args[2], time.Since(began).Round(time.Millisecond))
	return nil
}

func (s *script) since(context.Context, []string) error {
	s.acted = time.Now()
	return nil
}

func (s *script) roles(ctx context.Context, _ []string) error {
	_, _, err := s.holderAndStandby(ctx)
	return err
}

// measure runs the lines of a file of the script several times, each time from a whole chain.
func (s *script) measure(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	body, err := os.ReadFile(filepath.Join(s.env.WorkDir, args[2]))
	if err != nil {
		return err
	}
	verbs := s.lines()
	for run := range n {
		s.phase = float64(run) / float64(n)
		ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
		err := s.runLines(ctx, string(body), verbs)
		cancel()
		if err != nil {
			return fmt.Errorf("run %d: %w", run+1, err)
		}
	}
	return nil
}

// lines are the verbs that measure understands.
func (s *script) lines() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		"weir": s.weir, "tells": s.tells, "until": s.until, "stays": s.stays, "gap": s.doGap, "hold": s.hold,
		"every": s.every, "server": s.server, "empty": s.empty,
	}
}

// every PERIOD waits until the last order is so long ago: the fault itself is one that comes again and again.
func (s *script) every(ctx context.Context, args []string) error {
	period, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Until(s.acted.Add(period))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *script) runLines(ctx context.Context, text string, verbs map[string]func(context.Context, []string) error) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	holder, standby, err := s.holderAndStandby(ctx)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		line = strings.NewReplacer("$HOLDER", holder, "$STANDBY", standby).Replace(strings.TrimSpace(line))
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		do, ok := verbs[fields[0]]
		if !ok {
			return fmt.Errorf("measure does not know %q", fields[0])
		}
		if err := do(ctx, fields); err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

// doGap starts the measure, and stops it once the chain has served again for a while.
func (s *script) doGap(ctx context.Context, args []string) error {
	switch args[1] {
	case "start":
		config := s.gapConfig()
		config.Deadline = 15 * time.Second                          // longer than any GRACE: who hangs is unfinished, not failed
		gap, err := bench.Start(context.WithoutCancel(ctx), config) // it outlives this verb
		if err != nil {
			return err
		}
		s.gap = gap
		if err := gap.WaitSuccesses(ctx, 30); err != nil {
			return err
		}
		// Otherwise every fault of a measure would come at the same moment between two attempts.
		select {
		case <-time.After(time.Duration(s.phase * float64(gap.Between()))):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case "stop":
		// What was broken shows in what comes after: some successes more before the measure ends.
		if err := s.gap.WaitSuccesses(ctx, 50); err != nil {
			return err
		}
		result, err := s.stopGap(args[2:])
		if err != nil {
			return err
		}
		s.results = append(s.results, result)
		s.logf("%s", result)
		return nil
	}
	return fmt.Errorf("gap start, or gap stop")
}

func (s *script) stopGap(args []string) (result bench.GapResult, err error) {
	if len(args) == 0 {
		result = s.gap.Stop()
	} else {
		grace, err := time.ParseDuration(args[0])
		if err != nil {
			return result, err
		}
		result = s.gap.StopWithin(grace)
	}
	s.gap = nil
	return result, nil
}

// bound compares the median of all gaps measured so far; of who hangs, the worst of them.
func (s *script) bound(_ context.Context, args []string) error {
	if len(s.results) == 0 {
		return fmt.Errorf("no gap was measured")
	}
	values := make([]time.Duration, len(s.results))
	limit, err := time.ParseDuration(args[2])
	if err != nil { // a count
		n, countErr := strconv.Atoi(args[2])
		if countErr != nil {
			return err
		}
		limit = time.Duration(n)
	}
	for i, r := range s.results {
		value, ok := measures(r)[args[1]]
		if !ok {
			return fmt.Errorf("no measure %q", args[1])
		}
		values[i] = value
	}
	slices.Sort(values)
	which, judged := "median", values[len(values)/2]
	if args[1] == "unfinished" { // one client that hangs is too many, in whichever run
		which, judged = "worst", values[len(values)-1]
	}
	s.logf("%s: %v, %s %v, bound %v", args[1], values, which, judged, limit)
	if judged > limit {
		return fmt.Errorf("%s: the %s of %v is over %v", args[1], which, values, limit)
	}
	return nil
}

// measures are what bound can name; counts are durations of as many nanoseconds.
func measures(r bench.GapResult) map[string]time.Duration {
	return map[string]time.Duration{
		"longest": time.Duration(r.Longest), "stall": time.Duration(r.Held.LongestStall),
		"failed": time.Duration(r.New.Failed), "refused": time.Duration(r.New.Refused),
		"broken": time.Duration(r.Held.Broken), "unfinished": time.Duration(r.New.Unfinished + r.Held.Unfinished),
	}
}

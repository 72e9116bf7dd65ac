package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestVagrant is make test-vagrant: poolers, database and monitor by compose.yml, the two edge nodes by
// the Vagrantfile, here as machines in containers (provider docker), with systemd.
func TestVagrant(t *testing.T) {
	enginePlease(t, "test-vagrant")
	if out, err := exec.Command("vagrant", "--version").CombinedOutput(); err != nil {
		t.Fatalf("vagrant does not answer, and make test-vagrant needs it: %v\n%s", err, out)
	}
	// Not the network of the inventory: the cluster may be moved.
	d := newDeployment(t, "weir-test-vagrant", "10.87.65.0/24")
	if out, err := d.tryVagrant(t, "validate"); err != nil {
		t.Fatalf("vagrant validate: %v\n%s", err, out)
	}
	behind := []string{"postgres", "pgb1", "pgb2", "pgb3", "monitor"}
	d.compose(t, append([]string{"build"}, behind...)...)
	d.up(t, behind...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if out, err := d.command(ctx, "vagrant", "destroy", "--force"); err != nil {
			t.Errorf("vagrant destroy: %v\n%s", err, out)
		}
	})
	began := time.Now()
	d.vagrant(t, "up", "--provider=docker")
	t.Logf("vagrant up took %s", time.Since(began).Round(100*time.Millisecond))
	d.mustConnect(t, 30*time.Second)
	d.atRest(t, time.Minute)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"clients query, prepare and cancel through the VIP", d.clientsAreServed},
		{"systemd runs everything on both machines", d.unitsAreActive},
		{"to provision again reloads without a dropped connection", d.provisionedAgain},
		{"files that are refused change nothing", d.refusedFilesChangeNothing},
		{"keepalived is killed on the machine with the VIP, and stays dead", func(t *testing.T) {
			const never = "/run/systemd/system/keepalived.service.d/zz-never.conf"
			d.keepalivedIsKilled(t, d.machine, `mkdir -p $(dirname `+never+`) && printf '[Service]\nRestart=no\n' >`+never+
				` && systemctl daemon-reload && systemctl kill --signal KILL keepalived`,
				`rm `+never+` && systemctl daemon-reload && systemctl start keepalived`)
		}},
		{"the machine with the VIP is halted under load", d.theHolderIsHalted},
		{"a pooler is killed", d.aPoolerIsKilled},
	} {
		if !t.Run(step.name, step.do) {
			t.Fatalf("the rest is not tried; what the machines say:\n%s", d.journals())
		}
	}
}

func (d *deployment) vagrant(t *testing.T, args ...string) string {
	t.Helper()
	out, err := d.tryVagrant(t, args...)
	if err != nil {
		t.Fatalf("vagrant %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (d *deployment) tryVagrant(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return d.command(t.Context(), "vagrant", args...)
}

func (d *deployment) machine(node string) string { return d.name + "-" + node }

func (d *deployment) journals() string {
	var all string
	for _, node := range d.inv.HAProxy.NodeNames() {
		out, _ := d.command(context.Background(), "docker", "exec", d.machine(node), "journalctl", "--no-pager", "--lines", "25")
		all += node + ":\n" + out
	}
	return all
}

func (d *deployment) unitsAreActive(t *testing.T) {
	for _, node := range d.inv.HAProxy.NodeNames() {
		if failed := d.docker(t, "exec", d.machine(node), "systemctl", "--failed", "--no-legend", "--plain"); strings.TrimSpace(failed) != "" {
			t.Errorf("%s: %s", node, failed)
		}
		for _, unit := range []string{"haproxy", "keepalived"} {
			if out, err := d.command(t.Context(), "docker", "exec", d.machine(node), "systemctl", "is-active", unit); err != nil {
				t.Errorf("%s on %s is %s", unit, node, out)
			}
		}
		if out := d.vagrant(t, "ssh", node, "-c", "sudo /etc/keepalived/weir-check poolers && echo sees a pooler"); !strings.Contains(out, "sees a pooler") {
			t.Errorf("vagrant ssh %s: %s", node, out)
		}
	}
}

func (d *deployment) provisionedAgain(t *testing.T) {
	d.changeInventory(t, "check_interval: 500ms", "check_interval: 600ms")
	r := d.under(t, func() { d.vagrant(t, "provision") })
	nothingNoticed(t, r)
	for _, node := range d.inv.HAProxy.NodeNames() {
		if out := d.docker(t, "exec", d.machine(node), "grep", "-c", "check inter 600ms", "/etc/haproxy/haproxy.cfg"); strings.TrimSpace(out) != "1" {
			t.Errorf("%s has the old file: %s", node, out)
		}
	}
	d.atRest(t, time.Minute)
}

// A tree that HAProxy refuses: vagrant provision says so, and everything goes on as before.
func (d *deployment) refusedFilesChangeNothing(t *testing.T) {
	file := d.dir + "/hosts/haproxy1/etc/haproxy/haproxy.cfg"
	good := mustRead(t, file)
	t.Cleanup(func() { d.prepare(t) })
	rewrite(t, file, strings.Replace(good, "mode tcp", "mode tpc", 1))
	r := d.under(t, func() {
		if out, err := d.tryVagrant(t, "provision", "haproxy1"); err == nil || !strings.Contains(out, "is refused, nothing was changed") {
			t.Errorf("vagrant provision: %v\n%s", err, out)
		}
	})
	nothingNoticed(t, r)
	if now := d.docker(t, "exec", d.machine("haproxy1"), "cat", "/etc/haproxy/haproxy.cfg"); now != good {
		t.Error("the machine's file has changed")
	}
}

func (d *deployment) theHolderIsHalted(t *testing.T) {
	holder, err := d.holder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mark := d.told.mark()
	r := d.under(t, func() { d.vagrant(t, "halt", holder) })
	if time.Duration(r.Longest) > 2*time.Second {
		t.Errorf("nobody could connect for %s", r.Longest)
	}
	if now, err := d.holder(t.Context()); err != nil || now == holder {
		t.Errorf("the VIP is on %s, was on %s: %v", now, holder, err)
	}
	told := d.told.wait(t, mark, 15*time.Second, opened, "haproxy-unreachable/"+holder)
	t.Logf("told: %s. %s", told.Title, told.Impact)
	began := time.Now()
	d.vagrant(t, "up", holder)
	d.told.wait(t, mark, 30*time.Second, "resolved", told.Cause)
	t.Logf("up again and resolved after %s", time.Since(began).Round(100*time.Millisecond))
	d.atRest(t, time.Minute)
}

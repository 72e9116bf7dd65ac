package haproxy

import (
	"syscall"

	"weir/ops/inventory"
)

// Processes are the HAProxy processes of a node, as the lab's supervisor starts them: in the
// foreground, a master (-W) that re-executes itself on SIGUSR2 and hands the listening sockets on,
// so that a reload refuses no connection.
func Processes(inv *inventory.Inventory, files int) []inventory.Process {
	out := make([]inventory.Process, Instances(inv, files))
	for i := range out {
		n := i + 1
		out[i] = inventory.Process{
			Name:    "haproxy" + suffix(n),
			Argv:    []string{"/usr/sbin/haproxy", "-W", "-f", configPath(n)},
			Prepare: []string{"/usr/bin/install", "-d", "-m", "0755", "/run/haproxy"},
			Ready:   StatsPort(inv, n),
			Stop:    int(syscall.SIGTERM), // SIGUSR1 would wait for every client
			Reload:  int(syscall.SIGUSR2),
		}
	}
	return out
}

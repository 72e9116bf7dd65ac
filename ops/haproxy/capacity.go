package haproxy

import (
	"fmt"
	"math"

	"weir/ops/inventory"
)

const (
	// MaxInstances is how many processes a node runs at most: each checks every pooler.
	MaxInstances = 8
	// statsConns are connections of the statistics frontend, beside those of the clients.
	statsConns = 100
	// headroom over the poolers' client places: those who come too many wait in HAProxy's queue,
	// where a place that becomes free serves them, and not in a listen queue that nobody sees.
	headroom = 1.1
)

// reserve is how many open files a process needs beside two for every connection: a check for every
// server, listeners, pollers, the pipe to the master process, and those it hands over in a reload.
func reserve(inv *inventory.Inventory) int { return 100 + 2*len(inv.PgBouncer.Poolers) }

// Capacity is how many clients fit into one HAProxy process of a node, and into all of the node's
// processes together, with so many open files per process. Every client of the cluster may come
// through one node; more than those and some headroom are never asked for.
func Capacity(inv *inventory.Inventory, files int) (perProcess, total int) {
	wanted := int(math.Ceil(float64(inv.Budget().Clients) * headroom))
	perProcess = min(max(0, (files-reserve(inv))/2-statsConns), wanted)
	return perProcess, held(perProcess, Instances(inv, files))
}

// Instances is the number of HAProxy processes a node needs to hold every client place of the
// poolers, MaxInstances at most.
func Instances(inv *inventory.Inventory, files int) int {
	clients := inv.Budget().Clients
	per := max(0, (files-reserve(inv))/2-statsConns)
	for n := 1; n < MaxInstances; n++ {
		if held(per, n) >= clients {
			return n
		}
	}
	return MaxInstances
}

// held is how many clients n processes surely hold. The kernel deals connections out by a hash of
// their addresses, so shares differ: five standard deviations are kept free.
func held(perProcess, n int) int {
	if n == 1 {
		return perProcess
	}
	return n * max(0, perProcess-int(5*math.Sqrt(float64(perProcess))))
}

// Warning says what the open-file limit does to a node, and "" when one process holds every client.
func Warning(inv *inventory.Inventory, files int) string {
	per, total := Capacity(inv, files)
	n, clients := Instances(inv, files), inv.Budget().Clients
	if n == 1 {
		return ""
	}
	text := fmt.Sprintf("%d open files per process let %d clients into one HAProxy process (two files each), "+
		"so every node runs %d of them on the same address", files, per, n)
	if total < clients {
		return text + fmt.Sprintf("; that is the most, and only %d of the %d clients of the inventory fit: raise the limit", total, clients)
	}
	return text + fmt.Sprintf("; %d clients of the inventory fit", clients)
}

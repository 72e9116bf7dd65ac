package haproxy

import "slices"

// Stats is one node: all its processes as one.
type Stats struct {
	Node string
	Rows []Row // in the order of the configuration file

	processes [][]Row // as each was read, the first one's first
	past      [][]Row // what each had counted before it started again
}

// Merge makes one node of the statistics of its processes, the first one's first.
func Merge(node string, processes ...[]Row) Stats {
	return Stats{Node: node, Rows: merge(processes), processes: processes, past: make([][]Row, len(processes))}
}

// After is a reading with the one before it in mind: where one of several processes has started again, and
// counts from zero, what it had counted stays counted. The sums would go back, or hide it. A process that
// runs alone is left as it is: its numbers are since its start.
func (s Stats) After(before Stats) Stats {
	if len(s.processes) < 2 || len(before.processes) != len(s.processes) {
		return s
	}
	s.past = slices.Clone(before.past)
	all := make([][]Row, len(s.processes))
	for i, rows := range s.processes {
		if fewer(rows, before.processes[i]) {
			s.past[i] = counted(before.processes[i], before.past[i])
		}
		all[i] = counted(rows, s.past[i])
	}
	s.Rows = merge(all)
	return s
}

// counters are what only grows while a process runs.
func (r *Row) counters() []*int64 {
	return []*int64{&r.SessionsTotal, &r.BytesIn, &r.BytesOut, &r.ErrConn, &r.ErrResp, &r.Retries, &r.Redispatches, &r.CheckFails, &r.CheckDowns}
}

// fewer reports whether something is counted less often than before.
func fewer(rows, before []Row) bool {
	for _, r := range rows {
		was, _ := Stats{Rows: before}.Find(r.Proxy, r.Name)
		for n, count := range was.counters() {
			if *r.counters()[n] < *count {
				return true
			}
		}
	}
	return false
}

// counted are rows with what was counted in the past.
func counted(rows, past []Row) []Row {
	if len(past) == 0 {
		return rows
	}
	out := slices.Clone(rows)
	for i := range out {
		was, _ := Stats{Rows: past}.Find(out[i].Proxy, out[i].Name)
		for n, count := range out[i].counters() {
			*count += *was.counters()[n]
		}
		out[i].Downtime += was.Downtime
	}
	return out
}

// Find is one row by backend and server, or frontend and FRONTEND, or backend and BACKEND.
func (s Stats) Find(proxy, name string) (Row, bool) {
	i := slices.IndexFunc(s.Rows, func(r Row) bool { return r.Proxy == proxy && r.Name == name })
	if i < 0 {
		return Row{}, false
	}
	return s.Rows[i], true
}

// Servers are the servers of one backend.
func (s Stats) Servers(backend string) []Row {
	var out []Row
	for _, r := range s.Rows {
		if r.Kind == Server && r.Proxy == backend {
			out = append(out, r)
		}
	}
	return out
}

// merge makes one of the rows of several processes. Sessions and counters are summed, so SessionsMax and
// QueueMax are upper bounds; times are the longest; LastChange is the latest change; State, Admin and what
// the check said are the worst.
func merge(processes [][]Row) []Row {
	type key struct{ proxy, name string }
	index := map[key]int{}
	var out []Row
	opinions := map[int][]Opinion{}
	downs, fails := map[int][]int64{}, map[int][]int64{}
	for p, rows := range processes {
		for _, r := range rows {
			k := key{r.Proxy, r.Name}
			i, ok := index[k]
			if !ok {
				i = len(out)
				index[k] = i
				out = append(out, r)
			} else {
				out[i] = join(out[i], r)
			}
			downs[i], fails[i] = append(downs[i], r.CheckDowns), append(fails[i], r.CheckFails)
			opinions[i] = append(opinions[i], Opinion{"haproxy" + suffix(p+1), r.State, r.Admin, r.Health})
		}
	}
	for i, each := range opinions {
		out[i].Downs, out[i].Fails = downs[i], fails[i]
		if slices.ContainsFunc(each, func(o Opinion) bool { return o.State != each[0].State || o.Admin != each[0].Admin }) {
			out[i].Disagree = each
		}
	}
	return out
}

func join(a, b Row) Row {
	out, other := a, b
	if badness[b.State] > badness[a.State] {
		out, other = b, a
	}
	out.Admin = max(a.Admin, b.Admin)
	for _, sum := range []struct {
		to   *int64
		more int64
	}{
		{&out.Sessions, other.Sessions}, {&out.SessionsMax, other.SessionsMax}, {&out.SessionsLimit, other.SessionsLimit},
		{&out.Queue, other.Queue}, {&out.QueueMax, other.QueueMax}, {&out.Rate, other.Rate},
	} {
		*sum.to += sum.more
	}
	for n, count := range out.counters() {
		*count += *other.counters()[n]
	}
	out.QueueTime, out.ConnectTime = max(a.QueueTime, b.QueueTime), max(a.ConnectTime, b.ConnectTime)
	out.ResponseTime, out.TotalTime = max(a.ResponseTime, b.ResponseTime), max(a.TotalTime, b.TotalTime)
	out.CheckDuration, out.Downtime = max(a.CheckDuration, b.CheckDuration), max(a.Downtime, b.Downtime)
	out.LastChange = min(a.LastChange, b.LastChange)
	return out
}

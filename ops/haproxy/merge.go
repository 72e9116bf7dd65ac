package haproxy

import "slices"

// Stats is one node: all its processes as one.
type Stats struct {
	Node string
	Rows []Row // in the order of the configuration file
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

// merge makes one node of the statistics of its processes, the first one's first. Sessions and
// counters are summed, so SessionsMax and QueueMax are upper bounds; times are the longest;
// LastChange is the latest change; State, Admin and what the check said are the worst.
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
		{&out.SessionsTotal, other.SessionsTotal}, {&out.BytesIn, other.BytesIn}, {&out.BytesOut, other.BytesOut},
		{&out.ErrConn, other.ErrConn}, {&out.ErrResp, other.ErrResp}, {&out.Retries, other.Retries},
		{&out.Redispatches, other.Redispatches}, {&out.Queue, other.Queue}, {&out.QueueMax, other.QueueMax},
		{&out.Rate, other.Rate}, {&out.CheckFails, other.CheckFails}, {&out.CheckDowns, other.CheckDowns},
	} {
		*sum.to += sum.more
	}
	out.QueueTime, out.ConnectTime = max(a.QueueTime, b.QueueTime), max(a.ConnectTime, b.ConnectTime)
	out.ResponseTime, out.TotalTime = max(a.ResponseTime, b.ResponseTime), max(a.TotalTime, b.TotalTime)
	out.CheckDuration, out.Downtime = max(a.CheckDuration, b.CheckDuration), max(a.Downtime, b.Downtime)
	out.LastChange = min(a.LastChange, b.LastChange)
	return out
}

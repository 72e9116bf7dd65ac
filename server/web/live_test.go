package web

import (
	"math"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/views/chain/chaintest"
	"weir/views/metric"
)

func TestATrendBeginsWithWhatTheMonitorSampled(t *testing.T) {
	var tr trends
	now := chaintest.Noon
	tr.keep(chaintest.Healthy().Snapshot, now)
	if s := tr.of(clientsTrend, "pgb1"); !math.IsNaN(s[trendPoints-2]) || math.IsNaN(s[trendPoints-1]) {
		t.Errorf("before the samples are read: %v", s[trendPoints-3:])
	}
	tr.take(metricSeries{
		metric.Clients:     {{Subject: "pgb1", Points: []metric.Point{{At: now.Add(-20 * time.Second), Mean: 7}, {At: now, Mean: 8}, {At: now.Add(-time.Hour), Mean: 9}}}},
		metric.Connections: {{Subject: "postgres", Points: []metric.Point{{At: now.Add(-10 * time.Second), Mean: 55}}}}})
	s := tr.of(clientsTrend, "pgb1")
	if s[trendPoints-3] != 7 || !math.IsNaN(s[trendPoints-2]) || s[trendPoints-1] == 8 || s.Known() && s[0] == 9 {
		t.Errorf("with them: %v", s[trendPoints-3:])
	}
	if s := tr.of(connectionsTrend, ""); s[trendPoints-2] != 55 {
		t.Errorf("what has no host: %v", s[trendPoints-3:])
	}
	tr.keep(&fleet.Snapshot{}, now.Add(trendEvery))
	if s := tr.of(clientsTrend, "pgb1"); s[trendPoints-4] != 7 {
		t.Errorf("ten seconds later: %v", s[trendPoints-4:])
	}
}

func TestSamplesAreReadOnceAndAgainWhileTheyCannotBe(t *testing.T) {
	var tr trends
	now := chaintest.Noon
	if !tr.wants(now) || tr.wants(now.Add(time.Second)) || !tr.wants(now.Add(fillAgain)) {
		t.Error("they are not asked for again after a while")
	}
	tr.take(metricSeries{})
	if tr.wants(now.Add(time.Hour)) {
		t.Error("they are read twice")
	}
}

package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

const (
	maxPoints = 1000
	maxSpan   = 36 * 24 * time.Hour // what is older than 35 days is gone
)

func (r queryResolver) Samples(ctx context.Context, metric string, subject *string, from, to time.Time, points int) ([]noun.Series, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	if err := checkSpan(from, to, points); err != nil {
		return nil, err
	}
	rows, err := r.q.SampleSeries(ctx, r.DB, queries.SampleSeriesParams{Metric: metric, Subject: subject, Since: from, Until: to, Points: int32(points)})
	if err != nil {
		return nil, database(err)
	}
	series := []noun.Series{}
	for _, row := range rows { // in the order of subjects
		if n := len(series); n == 0 || series[n-1].Subject != row.Subject {
			series = append(series, noun.Series{Subject: row.Subject})
		}
		s := &series[len(series)-1]
		s.Points = append(s.Points, row)
	}
	return series, nil
}

func checkSpan(from, to time.Time, points int) error {
	switch {
	case !from.Before(to):
		return fault.Field("to", "The end has to be later than the beginning.")
	case to.Sub(from) > maxSpan:
		return fault.Field("from", "Samples are kept for 35 days: ask for 36 at most.")
	case points < 1 || points > maxPoints:
		return fault.Field("points", "Ask for 1 to %d points.", maxPoints)
	}
	return nil
}

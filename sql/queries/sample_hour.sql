-- name: SampleHourRollUp :execrows
-- Computes every hour between the one of since and the one of until anew. May be repeated; also for
-- the running hour, and for a past one whose samples came late. Hours without samples stay.
INSERT INTO sample_hour (hour, metric, subject, min, avg, max, last, count)
SELECT date_trunc('hour', at, 'UTC'), metric, subject, min(value), avg(value), max(value),
       (array_agg(value ORDER BY at DESC))[1], count(*)
  FROM sample
 WHERE at >= date_trunc('hour', @since::timestamptz, 'UTC')
   AND at < date_trunc('hour', @until::timestamptz, 'UTC') + interval '1 hour'
 GROUP BY 1, 2, 3
ON CONFLICT (metric, subject, hour) DO UPDATE
   SET min = excluded.min, avg = excluded.avg, max = excluded.max, last = excluded.last, count = excluded.count;

-- name: SampleHourDelete :execrows
DELETE FROM sample_hour WHERE hour < @before;

-- name: SampleAdd :execrows
-- The n-th of each list make one sample. What is there already stays. The partitions of their days
-- must be there (sql.PartitionCreate).
INSERT INTO sample (at, metric, subject, value)
SELECT unnest(@ats::timestamptz[]), unnest(@metrics::text[]), unnest(@subjects::text[]), unnest(@vals::double precision[])
ON CONFLICT (metric, subject, at) DO NOTHING;

-- name: SampleSeries :many
-- At most so many points of every subject, or of one, from since to before until. Read from the
-- samples while they are kept (14 days) and a point covers less than an hour, else by the hour.
-- A stretch without samples has no point.
WITH step AS (
    SELECT greatest((sqlc.arg('until')::timestamptz - sqlc.arg('since')::timestamptz) / greatest(sqlc.arg('points')::integer, 1), interval '1 second') AS width
), fine AS (
    SELECT date_bin(step.width, s.at, sqlc.arg('since')::timestamptz) AS at, s.subject,
           min(s.value) AS min, avg(s.value) AS avg, max(s.value) AS max,
           (array_agg(s.value ORDER BY s.at DESC))[1] AS last, count(*) AS count
      FROM sample s CROSS JOIN step
     WHERE sqlc.arg('since')::timestamptz >= now() - interval '14 days'
       AND sqlc.arg('until')::timestamptz - sqlc.arg('since')::timestamptz < sqlc.arg('points')::integer * interval '1 hour'
       AND s.metric = sqlc.arg('metric')
       AND (sqlc.narg('subject')::text IS NULL OR s.subject = sqlc.narg('subject')::text)
       AND s.at >= sqlc.arg('since')::timestamptz AND s.at < sqlc.arg('until')::timestamptz
     GROUP BY 1, 2
), coarse AS (
    -- The hour that since lies in counts from since on.
    SELECT date_bin(step.width, greatest(h.hour, sqlc.arg('since')::timestamptz), sqlc.arg('since')::timestamptz) AS at, h.subject,
           min(h.min) AS min, sum(h.avg * h.count) / sum(h.count) AS avg, max(h.max) AS max,
           (array_agg(h.last ORDER BY h.hour DESC))[1] AS last, sum(h.count)::bigint AS count
      FROM sample_hour h CROSS JOIN step
     WHERE NOT (sqlc.arg('since')::timestamptz >= now() - interval '14 days'
                AND sqlc.arg('until')::timestamptz - sqlc.arg('since')::timestamptz < sqlc.arg('points')::integer * interval '1 hour')
       AND h.metric = sqlc.arg('metric')
       AND (sqlc.narg('subject')::text IS NULL OR h.subject = sqlc.narg('subject')::text)
       AND h.hour > sqlc.arg('since')::timestamptz - interval '1 hour' AND h.hour < sqlc.arg('until')::timestamptz
     GROUP BY 1, 2
)
SELECT at::timestamptz AS at, subject, min::float8 AS min, avg::float8 AS avg, max::float8 AS max, last::float8 AS last, count
  FROM (SELECT at, subject, min, avg, max, last, count FROM fine
        UNION ALL
        SELECT at, subject, min, avg, max, last, count FROM coarse) AS point
 ORDER BY subject, at;

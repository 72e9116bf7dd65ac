-- name: IncidentOpen :exec
-- Nothing happens when it is there already. Another open incident of the same cause is a unique
-- violation of incident_open_cause: IncidentSupersede first.
INSERT INTO incident (id, cause, subject, severity, state, planned, title, impact, action, flaps, symptoms, evidence, seq, opened_at, updated_at)
VALUES (@id, @cause, @subject, @severity, @state, @planned, @title, @impact, @action, @flaps,
        coalesce(@symptoms::jsonb, '[]'), coalesce(@evidence::jsonb, '[]'), @seq, @opened_at, @opened_at)
ON CONFLICT (id) DO NOTHING;

-- name: IncidentUpdate :execrows
-- No row when it is resolved, when the row knows of a later event, or when it was never opened.
UPDATE incident
   SET severity = @severity, state = @state, planned = @planned, title = @title, impact = @impact, action = @action,
       flaps = @flaps, symptoms = coalesce(@symptoms::jsonb, '[]'), evidence = coalesce(@evidence::jsonb, '[]'),
       well_seconds = @well_seconds, seq = @seq, updated_at = @updated_at
 WHERE id = @id AND seq <= @seq AND resolved_at IS NULL;

-- name: IncidentResolve :execrows
-- The first resolution stands.
UPDATE incident
   SET state = 'ok', seq = greatest(seq, @seq), updated_at = @resolved_at, resolved_at = @resolved_at
 WHERE id = @id AND resolved_at IS NULL;

-- name: IncidentReopen :execrows
-- For an incident that came back shortly after it was over: it goes on as the same. Another open
-- one of its cause is a unique violation: IncidentSupersede first.
UPDATE incident SET resolved_at = NULL WHERE id = @id AND resolved_at IS NOT NULL;

-- name: IncidentSupersede :execrows
-- Ends every other open incident of a cause, for a monitor that lost its own state.
UPDATE incident
   SET state = 'ok', updated_at = @resolved_at, resolved_at = @resolved_at
 WHERE cause = @cause AND id <> @id AND resolved_at IS NULL;

-- name: IncidentAcknowledge :one
-- No row when it is over, unknown, or acknowledged by somebody before.
UPDATE incident
   SET acknowledged_at = @at::timestamptz, acknowledged_by = @by::text, acknowledged_reason = @reason::text
 WHERE id = @id AND resolved_at IS NULL AND acknowledged_at IS NULL
RETURNING *;

-- name: IncidentGet :one
SELECT * FROM incident WHERE id = @id;

-- name: IncidentListOpen :many
SELECT * FROM incident WHERE resolved_at IS NULL ORDER BY opened_at, id;

-- name: IncidentPageForward :many
-- Newest first, from after to before; either may be left out, and so may each filter. The times bound what is
-- read of the index; the other filters are looked at row by row until the page is full.
SELECT * FROM incident
 WHERE (opened_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (opened_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND opened_at >= coalesce(sqlc.narg('since')::timestamptz, '-infinity') AND opened_at < coalesce(sqlc.narg('until')::timestamptz, 'infinity')
   AND (sqlc.narg('open')::boolean IS NULL OR (resolved_at IS NULL) = sqlc.narg('open')::boolean)
   AND (sqlc.narg('severity')::text IS NULL OR severity = sqlc.narg('severity')::text)
   AND (sqlc.narg('kind')::text IS NULL OR split_part(cause, '/', 1) = sqlc.narg('kind')::text)
   AND (sqlc.narg('subject')::text IS NULL OR subject = sqlc.narg('subject')::text)
 ORDER BY opened_at DESC, id DESC
 LIMIT @size::integer;

-- name: IncidentPageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM incident
 WHERE (opened_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (opened_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND opened_at >= coalesce(sqlc.narg('since')::timestamptz, '-infinity') AND opened_at < coalesce(sqlc.narg('until')::timestamptz, 'infinity')
   AND (sqlc.narg('open')::boolean IS NULL OR (resolved_at IS NULL) = sqlc.narg('open')::boolean)
   AND (sqlc.narg('severity')::text IS NULL OR severity = sqlc.narg('severity')::text)
   AND (sqlc.narg('kind')::text IS NULL OR split_part(cause, '/', 1) = sqlc.narg('kind')::text)
   AND (sqlc.narg('subject')::text IS NULL OR subject = sqlc.narg('subject')::text)
 ORDER BY opened_at, id
 LIMIT @size::integer;

-- name: IncidentSummary :one
-- Of those opened from since to before until. How long they took is of those that are over and were no
-- operator's doing, without the time when they were over already.
SELECT count(*) AS total,
       count(*) FILTER (WHERE resolved_at IS NULL) AS open,
       count(*) FILTER (WHERE resolved_at IS NOT NULL AND NOT planned) AS recovered,
       coalesce(sum(extract(epoch FROM resolved_at - opened_at) - well_seconds) FILTER (WHERE NOT planned), 0)::double precision AS recovery_seconds
  FROM incident
 WHERE opened_at >= coalesce(sqlc.narg('since')::timestamptz, '-infinity') AND opened_at < coalesce(sqlc.narg('until')::timestamptz, 'infinity');

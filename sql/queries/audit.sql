-- name: AuditAdd :exec
-- May be repeated.
INSERT INTO audit (id, at, actor_kind, actor_id, actor_name, address, verb, subject, reason, outcome, detail, took_ms)
VALUES (@id, @at, @actor_kind, @actor_id, @actor_name, @address, @verb, @subject, @reason, @outcome, coalesce(@detail::jsonb, '{}'), @took_ms)
ON CONFLICT (id) DO NOTHING;

-- name: AuditGet :one
SELECT * FROM audit WHERE id = @id;

-- name: AuditPageForward :many
-- Newest first, from after to before; either may be left out, and so may each filter.
SELECT * FROM audit
 WHERE (at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND at >= coalesce(sqlc.narg('since')::timestamptz, '-infinity') AND at < coalesce(sqlc.narg('until')::timestamptz, 'infinity')
   AND (sqlc.narg('actor_name')::text IS NULL OR actor_name = sqlc.narg('actor_name')::text)
   AND (sqlc.narg('verb')::text IS NULL OR verb = sqlc.narg('verb')::text)
   AND (sqlc.narg('subject')::text IS NULL OR subject = sqlc.narg('subject')::text)
 ORDER BY at DESC, id DESC
 LIMIT @size::integer;

-- name: AuditPageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM audit
 WHERE (at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND at >= coalesce(sqlc.narg('since')::timestamptz, '-infinity') AND at < coalesce(sqlc.narg('until')::timestamptz, 'infinity')
   AND (sqlc.narg('actor_name')::text IS NULL OR actor_name = sqlc.narg('actor_name')::text)
   AND (sqlc.narg('verb')::text IS NULL OR verb = sqlc.narg('verb')::text)
   AND (sqlc.narg('subject')::text IS NULL OR subject = sqlc.narg('subject')::text)
 ORDER BY at, id
 LIMIT @size::integer;

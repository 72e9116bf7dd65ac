-- name: SilenceCreate :one
INSERT INTO silence (cause, subject, reason, created_by, created_at, starts_at, ends_at)
VALUES (@cause, @subject, @reason, @created_by, @created_at, @starts_at, @ends_at)
RETURNING *;

-- name: SilenceGet :one
SELECT * FROM silence WHERE id = @id;

-- name: SilenceEnd :one
-- No row when it is unknown or over already.
UPDATE silence SET ended_at = @at::timestamptz, ended_by = @by::text
 WHERE id = @id AND ended_at IS NULL AND ends_at > @at::timestamptz
RETURNING *;

-- name: SilenceListSince :many
-- Those that have ended since, that hold, and that are still to come.
SELECT * FROM silence
 WHERE ends_at > @since AND (ended_at IS NULL OR ended_at > @since::timestamptz)
 ORDER BY starts_at, id;

-- name: SilencePageForward :many
-- Newest first, from after to before; either may be left out.
SELECT * FROM silence
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
 ORDER BY created_at DESC, id DESC
 LIMIT @size::integer;

-- name: SilencePageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM silence
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
 ORDER BY created_at, id
 LIMIT @size::integer;

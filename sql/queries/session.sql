-- name: SessionSave :exec
-- Makes it, or saves it. One that was ended stays ended.
INSERT INTO session (token_hash, user_id, data, created_at, last_seen_at, expires_at, address, user_agent)
VALUES (@token_hash, @user_id, @data, @at, @at, @expires_at, @address, @user_agent)
ON CONFLICT (token_hash) DO UPDATE
   SET user_id = excluded.user_id, data = excluded.data, last_seen_at = excluded.last_seen_at,
       expires_at = excluded.expires_at, address = excluded.address, user_agent = excluded.user_agent;

-- name: SessionGet :one
SELECT * FROM session WHERE token_hash = @token_hash AND ended_at IS NULL AND expires_at > @at;

-- name: SessionTouch :exec
UPDATE session SET last_seen_at = @at, address = @address
 WHERE token_hash = @token_hash AND ended_at IS NULL AND last_seen_at < @at;

-- name: SessionEndByToken :execrows
UPDATE session SET ended_at = @at::timestamptz WHERE token_hash = @token_hash AND ended_at IS NULL;

-- name: SessionEnd :one
-- The hash of the one that ended, for caches. No row when it was over.
UPDATE session SET ended_at = @at::timestamptz WHERE id = @id AND ended_at IS NULL RETURNING token_hash;

-- name: SessionOwner :one
SELECT u.id, u.email FROM session s JOIN app_user u ON u.id = s.user_id WHERE s.id = @id;

-- name: SessionEndByUser :many
-- All sessions of one user, or all but one. The hashes of those that ended, for caches.
WITH ended AS (
    UPDATE session SET ended_at = @at::timestamptz
     WHERE user_id = @user_id::bigint AND ended_at IS NULL
       AND (sqlc.narg('except_token_hash')::bytea IS NULL OR token_hash <> sqlc.narg('except_token_hash')::bytea)
    RETURNING id, token_hash
)
SELECT token_hash FROM ended ORDER BY id;

-- name: SessionDeleteExpired :execrows
DELETE FROM session WHERE expires_at <= @at;

-- name: SessionPageForward :many
-- Those that are signed in, of one user or of all. Newest first, from after to before; either may
-- be left out.
SELECT * FROM session
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
   AND user_id IS NOT NULL AND ended_at IS NULL AND expires_at > @at
   AND (sqlc.narg('user_id')::bigint IS NULL OR user_id = sqlc.narg('user_id')::bigint)
 ORDER BY created_at DESC, id DESC
 LIMIT @size::integer;

-- name: SessionPageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM session
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
   AND user_id IS NOT NULL AND ended_at IS NULL AND expires_at > @at
   AND (sqlc.narg('user_id')::bigint IS NULL OR user_id = sqlc.narg('user_id')::bigint)
 ORDER BY created_at, id
 LIMIT @size::integer;

-- name: APITokenCreate :one
INSERT INTO api_token (user_id, name, prefix, token_hash, role, operations, created_by, created_at, expires_at)
VALUES (@user_id, @name, @prefix, @token_hash, @role, @operations, @created_by, @created_at, @expires_at)
RETURNING *;

-- name: APITokenGet :one
SELECT * FROM api_token WHERE id = @id;

-- name: APITokenGetByHash :one
-- With what its owner may do now; a token must not do more. No row when it is over or revoked, or
-- when its owner is disabled. user_role is null for a token without owner.
SELECT sqlc.embed(api_token), app_user.role AS user_role
  FROM api_token LEFT JOIN app_user ON app_user.id = api_token.user_id
 WHERE api_token.token_hash = @token_hash AND api_token.revoked_at IS NULL AND api_token.expires_at > @at
   AND app_user.disabled_at IS NULL;

-- name: APITokenTouch :exec
-- Nothing is written when it was used since not_since: a row each minute, not each request.
UPDATE api_token SET last_used_at = @at::timestamptz
 WHERE id = @id AND (last_used_at IS NULL OR last_used_at < @not_since::timestamptz);

-- name: APITokenRevoke :one
-- No row when it is unknown or was revoked before.
UPDATE api_token SET revoked_at = @at::timestamptz WHERE id = @id AND revoked_at IS NULL RETURNING *;

-- name: APITokenPageForward :many
-- Newest first, from after to before; either may be left out.
SELECT * FROM api_token
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
   AND (sqlc.narg('user_id')::bigint IS NULL OR user_id = sqlc.narg('user_id')::bigint)
 ORDER BY created_at DESC, id DESC
 LIMIT @size::integer;

-- name: APITokenPageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM api_token
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
   AND (sqlc.narg('user_id')::bigint IS NULL OR user_id = sqlc.narg('user_id')::bigint)
 ORDER BY created_at, id
 LIMIT @size::integer;

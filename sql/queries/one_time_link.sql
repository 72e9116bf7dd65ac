-- name: OneTimeLinkCreate :one
INSERT INTO one_time_link (kind, token_hash, email, role, user_id, created_by, created_at, expires_at)
VALUES (@kind, @token_hash, lower(sqlc.narg('email')::text), @role, @user_id, @created_by, @created_at, @expires_at)
RETURNING *;

-- name: OneTimeLinkGet :one
-- No row when it was used or is too old.
SELECT * FROM one_time_link WHERE token_hash = @token_hash AND used_at IS NULL AND expires_at > @at;

-- name: OneTimeLinkUse :one
-- Exactly one of several at once gets the row.
UPDATE one_time_link SET used_at = @at::timestamptz
 WHERE token_hash = @token_hash AND used_at IS NULL AND expires_at > @at::timestamptz
RETURNING *;

-- name: OneTimeLinkListOpen :many
SELECT * FROM one_time_link WHERE used_at IS NULL AND expires_at > @at ORDER BY created_at, id;

-- name: OneTimeLinkWithdraw :execrows
UPDATE one_time_link SET used_at = @at::timestamptz WHERE id = @id AND used_at IS NULL;

-- name: OneTimeLinkDeleteExpired :execrows
DELETE FROM one_time_link WHERE expires_at <= @at;

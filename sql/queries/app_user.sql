-- name: UserCreate :one
INSERT INTO app_user (email, name, role, password_hash, created_at, updated_at)
VALUES (lower(@email), @name, @role, @password_hash, @at, @at)
RETURNING *;

-- name: UserGet :one
SELECT * FROM app_user WHERE id = @id;

-- name: UserGetByEmail :one
SELECT * FROM app_user WHERE email = lower(@email);

-- name: UserListByID :many
SELECT * FROM app_user WHERE id = ANY (@ids::bigint[]) ORDER BY id;

-- name: UserLockAdministrators :many
-- Those that can sign in, locked until the transaction ends: whoever takes one's role or disables
-- one looks here first, so that two at once cannot remove the last two.
SELECT id FROM app_user WHERE role = 'administrator' AND disabled_at IS NULL ORDER BY id FOR UPDATE;

-- name: UserSetName :execrows
UPDATE app_user SET name = @name, updated_at = @at WHERE id = @id;

-- name: UserSetRole :execrows
UPDATE app_user SET role = @role, updated_at = @at WHERE id = @id;

-- name: UserSetPassword :execrows
UPDATE app_user SET password_hash = @password_hash, updated_at = @at WHERE id = @id;

-- name: UserSetTOTP :execrows
-- A null secret takes the second factor away.
UPDATE app_user SET totp_secret = @totp_secret, totp_last_step = @totp_last_step, updated_at = @at WHERE id = @id;

-- name: UserUseTOTPStep :execrows
-- No row when a code of this step, or of a later one, was used before.
UPDATE app_user SET totp_last_step = @step::bigint
 WHERE id = @id AND (totp_last_step IS NULL OR totp_last_step < @step::bigint);

-- name: UserDisable :execrows
UPDATE app_user SET disabled_at = @at::timestamptz, updated_at = @at::timestamptz WHERE id = @id AND disabled_at IS NULL;

-- name: UserEnable :execrows
UPDATE app_user SET disabled_at = NULL, updated_at = @at WHERE id = @id AND disabled_at IS NOT NULL;

-- name: UserPageForward :many
-- Newest first, from after to before; either may be left out.
SELECT * FROM app_user
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
 ORDER BY created_at DESC, id DESC
 LIMIT @size::integer;

-- name: UserPageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM app_user
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::bigint, 0))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::bigint, 0))
 ORDER BY created_at, id
 LIMIT @size::integer;

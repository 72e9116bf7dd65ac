-- name: RecoveryCodeReplace :exec
-- All earlier ones are gone; without new ones, none are left.
WITH gone AS (
    DELETE FROM recovery_code WHERE user_id = @user_id
)
INSERT INTO recovery_code (user_id, code_hash)
SELECT @user_id, unnest(@code_hashes::bytea[]);

-- name: RecoveryCodeUse :execrows
-- No row when it is not theirs, or was used before.
UPDATE recovery_code SET used_at = @at::timestamptz WHERE user_id = @user_id AND code_hash = @code_hash AND used_at IS NULL;

-- name: RecoveryCodeCount :one
-- How many are left.
SELECT count(*) FROM recovery_code WHERE user_id = @user_id AND used_at IS NULL;

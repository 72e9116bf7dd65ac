-- name: LoginThrottleFail :one
-- Counts one more failure; from one again when the last window began before window_floor.
INSERT INTO login_throttle (key, failures, window_start) VALUES (@key, 1, @at)
ON CONFLICT (key) DO UPDATE
   SET failures = CASE WHEN login_throttle.window_start < @window_floor::timestamptz THEN 1 ELSE login_throttle.failures + 1 END,
       window_start = CASE WHEN login_throttle.window_start < @window_floor::timestamptz THEN excluded.window_start ELSE login_throttle.window_start END
RETURNING *;

-- name: LoginThrottleBlock :exec
-- Never shortens a block.
UPDATE login_throttle SET blocked_until = greatest(blocked_until, @until::timestamptz) WHERE key = @key;

-- name: LoginThrottleList :many
SELECT * FROM login_throttle WHERE key = ANY (@keys::text[]) ORDER BY key;

-- name: LoginThrottleClear :exec
DELETE FROM login_throttle WHERE key = @key;

-- name: LoginThrottleDeleteStale :execrows
DELETE FROM login_throttle WHERE window_start < @before AND (blocked_until IS NULL OR blocked_until < @before);

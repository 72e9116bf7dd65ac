-- name: PauseSave :exec
INSERT INTO pause (pooler, database, paused_by, reason, paused_at, expires_at)
VALUES (@pooler, @database, @paused_by, @reason, @paused_at, @expires_at)
ON CONFLICT (pooler, database) DO UPDATE
   SET paused_by = excluded.paused_by, reason = excluded.reason, paused_at = excluded.paused_at, expires_at = excluded.expires_at;

-- name: PauseList :many
SELECT * FROM pause ORDER BY pooler, database;

-- name: PauseDelete :execrows
-- Of the pause that began then: one that was given since, perhaps by somebody else, stays.
DELETE FROM pause WHERE pooler = @pooler AND database = @database AND paused_at = @paused_at;

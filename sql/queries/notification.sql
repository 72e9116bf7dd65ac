-- name: NotificationSave :exec
-- May be repeated, also out of order: what is settled stays, and attempts only grow.
INSERT INTO notification (id, incident_id, channel, reason, state, attempts, created_at, sent_at, error, external_ref)
VALUES (@id, @incident_id, @channel, @reason, @state, @attempts, @created_at, @sent_at, @error, @external_ref)
ON CONFLICT (id) DO UPDATE
   SET state = excluded.state, attempts = excluded.attempts, sent_at = excluded.sent_at,
       error = excluded.error, external_ref = excluded.external_ref
 WHERE notification.state = 'pending' AND notification.attempts <= excluded.attempts;

-- name: NotificationTestAdd :exec
-- Asks the monitor to send a test message.
INSERT INTO notification (id, channel, reason, state, created_at) VALUES (@id, @channel, 'test', 'pending', @created_at);

-- name: NotificationTestList :many
-- Test messages that were asked for and not sent yet, but for those that nobody waits for any more.
SELECT id, channel, created_at FROM notification
 WHERE incident_id IS NULL AND reason = 'test' AND state = 'pending' AND created_at > @since
 ORDER BY created_at, id;

-- name: NotificationGet :one
SELECT * FROM notification WHERE id = @id;

-- name: NotificationListByIncident :many
SELECT * FROM notification WHERE incident_id = ANY (@incident_ids::uuid[]) ORDER BY incident_id, created_at, id;

-- name: NotificationPageForward :many
-- Newest first, from after to before; either may be left out.
SELECT * FROM notification
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (sqlc.narg('state')::text IS NULL OR state = sqlc.narg('state')::text)
 ORDER BY created_at DESC, id DESC
 LIMIT @size::integer;

-- name: NotificationPageBackward :many
-- The same from the other end: oldest first.
SELECT * FROM notification
 WHERE (created_at, id) < (coalesce(sqlc.narg('after_at')::timestamptz, 'infinity'), coalesce(sqlc.narg('after_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (created_at, id) > (coalesce(sqlc.narg('before_at')::timestamptz, '-infinity'), coalesce(sqlc.narg('before_id')::uuid, '00000000-0000-0000-0000-000000000000'))
   AND (sqlc.narg('state')::text IS NULL OR state = sqlc.narg('state')::text)
 ORDER BY created_at, id
 LIMIT @size::integer;

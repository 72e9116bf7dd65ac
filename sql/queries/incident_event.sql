-- name: IncidentEventAdd :exec
-- A number that is there already is a replay, and changes nothing.
INSERT INTO incident_event (incident_id, seq, at, kind, from_state, to_state, text, evidence)
VALUES (@incident_id, @seq, @at, @kind, @from_state, @to_state, @text, coalesce(@evidence::jsonb, '[]'))
ON CONFLICT (incident_id, seq) DO NOTHING;

-- name: IncidentEventListByIncident :many
SELECT * FROM incident_event WHERE incident_id = ANY (@incident_ids::uuid[]) ORDER BY incident_id, seq;

-- +goose Up
-- Rows that may be made while PostgreSQL is away (incident, notification, audit) get their id,
-- a UUID version 7, from whoever makes them: writing them again later changes nothing. All other
-- rows are numbered here.

-- What broke, since when, and what was done about it. Written by the monitor; only the
-- acknowledged_ columns belong to the server, and the monitor never writes those.
CREATE TABLE incident (
    id                  uuid        PRIMARY KEY,
    cause               text        NOT NULL,            -- what the monitor calls it, e.g. pooler-down/pgb2
    subject             text        NOT NULL DEFAULT '', -- host of the inventory; '' is the chain as a whole
    severity            text        NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    state               text        NOT NULL CHECK (state IN ('suspect', 'firing', 'recovering', 'flapping', 'planned', 'ok')),
    planned             boolean     NOT NULL DEFAULT false, -- an operator's doing: never told as an outage
    title               text        NOT NULL,
    impact              text        NOT NULL DEFAULT '', -- what it means for clients
    action              text        NOT NULL DEFAULT '', -- what to do
    flaps               integer     NOT NULL DEFAULT 0,
    symptoms            jsonb       NOT NULL DEFAULT '[]', -- findings explained by this cause
    evidence            jsonb       NOT NULL DEFAULT '[]', -- a line for each source
    seq                 bigint      NOT NULL,            -- of the last event this row knows of: an older write changes nothing
    opened_at           timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    resolved_at         timestamptz,
    acknowledged_at     timestamptz,
    acknowledged_by     text,
    acknowledged_reason text
);
CREATE UNIQUE INDEX incident_open_cause ON incident (cause) WHERE resolved_at IS NULL;
CREATE INDEX incident_page ON incident (opened_at, id);

-- Its transitions. The monitor alone numbers them: an event from anybody else would take a number
-- the monitor uses next, and that one would be lost as a replay.
CREATE TABLE incident_event (
    incident_id uuid        NOT NULL REFERENCES incident,
    seq         bigint      NOT NULL,
    at          timestamptz NOT NULL,
    kind        text        NOT NULL,
    from_state  text        NOT NULL DEFAULT '',
    to_state    text        NOT NULL DEFAULT '',
    text        text        NOT NULL DEFAULT '',
    evidence    jsonb       NOT NULL DEFAULT '[]',
    PRIMARY KEY (incident_id, seq)
);

-- What was said about it, where, and whether it arrived: a copy of the monitor's outbox.
CREATE TABLE notification (
    id           uuid        PRIMARY KEY,
    incident_id  uuid        REFERENCES incident,     -- null: about no incident, such as a test message
    channel      text        NOT NULL,                -- slack, webhook
    reason       text        NOT NULL,                -- first, escalated, reminder, resolved
    state        text        NOT NULL CHECK (state IN ('pending', 'sent', 'failed', 'collapsed')),
    attempts     integer     NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    sent_at      timestamptz,                         -- accepted by the other side
    error        text        NOT NULL DEFAULT '',     -- of the last attempt, without secrets
    external_ref text        NOT NULL DEFAULT ''      -- the other side's name for it, e.g. Slack's ts
);
CREATE INDEX notification_page ON notification (created_at, id);
CREATE INDEX notification_incident ON notification (incident_id, created_at, id);

-- Who wanted to hear nothing about what, why, and until when.
CREATE TABLE silence (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cause      text        NOT NULL DEFAULT '*', -- glob over incident.cause
    subject    text        NOT NULL DEFAULT '',  -- host; '' is every host
    reason     text        NOT NULL CHECK (reason <> ''),
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (ends_at > starts_at),
    ended_at   timestamptz,                      -- before its time, by ended_by
    ended_by   text
);
CREATE INDEX silence_page ON silence (created_at, id);
CREATE INDEX silence_current ON silence (ends_at) WHERE ended_at IS NULL;

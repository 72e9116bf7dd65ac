-- +goose Up
-- Who did what, why, and how it ended. Rows are added, nothing else: the trigger below refuses.
CREATE TABLE audit (
    id         uuid        PRIMARY KEY,
    at         timestamptz NOT NULL,
    actor_kind text        NOT NULL CHECK (actor_kind IN ('user', 'token', 'system')), -- system: Weir itself, or root on its machine
    actor_id   bigint,                           -- app_user or api_token
    actor_name text        NOT NULL,             -- as it was then
    address    inet,
    verb       text        NOT NULL,
    subject    text        NOT NULL DEFAULT '',
    reason     text        NOT NULL DEFAULT '',
    outcome    text        NOT NULL CHECK (outcome IN ('ok', 'refused', 'failed')),
    detail     jsonb       NOT NULL DEFAULT '{}',
    took_ms    bigint      NOT NULL
);
CREATE INDEX audit_page ON audit (at, id);

-- +goose StatementBegin
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on audit: rows are added, nothing else', tg_op USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    EXECUTE FUNCTION audit_is_append_only();

-- Pools that somebody paused, and when that ends even if nobody ends it.
CREATE TABLE pause (
    pooler     text        NOT NULL,
    database   text        NOT NULL, -- '' is all of them
    paused_by  text        NOT NULL,
    reason     text        NOT NULL CHECK (reason <> ''),
    paused_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > paused_at),
    PRIMARY KEY (pooler, database)
);

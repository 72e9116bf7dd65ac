-- +goose Up
-- People. Never deleted, so that the past keeps its names; disabled instead.
CREATE TABLE app_user (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email          text        NOT NULL UNIQUE CHECK (email = lower(email)),
    name           text        NOT NULL,
    role           text        NOT NULL CHECK (role IN ('viewer', 'operator', 'administrator')),
    password_hash  text        NOT NULL,
    totp_secret    text,        -- null: no second factor
    totp_last_step bigint,      -- last 30 s step accepted: a code works once
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
);
CREATE INDEX app_user_page ON app_user (created_at, id);

CREATE TABLE recovery_code (
    user_id   bigint      NOT NULL REFERENCES app_user,
    code_hash bytea       NOT NULL,
    used_at   timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

-- Browser sessions. One that was ended stays until it would have expired: a request still running
-- would otherwise save it back to life.
CREATE TABLE session (
    token_hash   bytea       PRIMARY KEY,
    id           bigint      NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE, -- what people see instead of the token
    user_id      bigint      REFERENCES app_user,                 -- null: not signed in yet
    data         bytea       NOT NULL,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    address      inet,
    user_agent   text        NOT NULL DEFAULT ''
);
CREATE INDEX session_page ON session (created_at, id);
CREATE INDEX session_of_user ON session (user_id, created_at, id);
CREATE INDEX session_expires ON session (expires_at);

-- Invitations, the first administrator, password resets. A password reset is for somebody who has
-- a role; the others carry the role of the account they make.
CREATE TABLE one_time_link (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('invite', 'first-admin', 'password-reset')),
    token_hash bytea       NOT NULL UNIQUE,
    email      text        CHECK (email = lower(email)),
    role       text        CHECK (role IN ('viewer', 'operator', 'administrator')),
    user_id    bigint      REFERENCES app_user,
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz, -- or withdrawn
    CHECK ((kind = 'password-reset') = (user_id IS NOT NULL)),
    CHECK ((kind = 'password-reset') = (role IS NULL))
);

-- Failed sign-ins, by account and by address.
CREATE TABLE login_throttle (
    key           text        PRIMARY KEY, -- account:EMAIL, address:IP
    failures      integer     NOT NULL,    -- since window_start
    window_start  timestamptz NOT NULL,
    blocked_until timestamptz
);

CREATE TABLE api_token (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      bigint      REFERENCES app_user, -- null: made on the machine itself
    name         text        NOT NULL,
    prefix       text        NOT NULL,            -- its first characters, for people to tell it by
    token_hash   bytea       NOT NULL UNIQUE,
    role         text        NOT NULL CHECK (role IN ('viewer', 'operator', 'administrator')),
    operations   text[],                          -- null: all that the role may do
    created_by   text        NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE INDEX api_token_page ON api_token (created_at, id);

-- +goose Up
-- The monitor reads silences that somebody ended as well, for a while.
DROP INDEX silence_current;
CREATE INDEX silence_end ON silence (ends_at);

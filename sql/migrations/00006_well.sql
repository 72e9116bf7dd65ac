-- +goose Up
-- How long an incident was over, each time before it was opened again: no part of how long it lasted.
ALTER TABLE incident ADD COLUMN well_seconds double precision NOT NULL DEFAULT 0;

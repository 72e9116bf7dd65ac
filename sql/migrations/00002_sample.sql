-- +goose Up
-- The chain's numbers every 10 s, kept 14 days. One partition a UTC day, made ahead and dropped by
-- the monitor (sql/partition.go). There is no default partition: rows in it would keep the
-- partition of their day from being made.
CREATE TABLE sample (
    at      timestamptz      NOT NULL,
    metric  text             NOT NULL,
    subject text             NOT NULL, -- host; '' is the chain as a whole
    value   double precision NOT NULL,
    PRIMARY KEY (metric, subject, at)
) PARTITION BY RANGE (at);

-- The same by the hour, kept 35 days, so that a month can still be drawn.
CREATE TABLE sample_hour (
    hour    timestamptz      NOT NULL, -- its beginning
    metric  text             NOT NULL,
    subject text             NOT NULL,
    min     double precision NOT NULL,
    avg     double precision NOT NULL,
    max     double precision NOT NULL,
    last    double precision NOT NULL,
    count   bigint           NOT NULL, -- of samples
    PRIMARY KEY (metric, subject, hour)
);
CREATE INDEX sample_hour_hour ON sample_hour (hour);

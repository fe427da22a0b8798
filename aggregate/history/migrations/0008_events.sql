-- What people and programs say has happened: deploys, incidents, notes. Each update of an event is a row with the next
-- version. `recorded` is when the first was stored, so that all of an event are in one partition and replace each other.
CREATE TABLE IF NOT EXISTS recorded_events
(
    id       String,
    version  UInt64,
    start    DateTime64(3, 'UTC'),
    end      Nullable(DateTime64(3, 'UTC')),
    kind     LowCardinality(String),
    title    String,
    text     String,
    tags     Map(LowCardinality(String), String),
    author   String,
    key      String,
    recorded DateTime64(3, 'UTC'),
    updated  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toStartOfMonth(recorded)
ORDER BY id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE OR REPLACE VIEW events
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    start AS ts,
    end,
    kind,
    title,
    text,
    CAST(tags, 'Map(String, String)') AS tags,
    author,
    key,
    id,
    recorded,
    updated
FROM recorded_events FINAL;

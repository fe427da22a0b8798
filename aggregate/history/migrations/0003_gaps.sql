-- What agents declare lost. A gap that is declared again replaces itself.
CREATE TABLE IF NOT EXISTS declared_gaps
(
    agent    String,
    epoch    String,
    from_seq UInt64,
    to_seq   UInt64,
    start    DateTime64(3, 'UTC'),
    end      DateTime64(3, 'UTC'),
    count    UInt64,
    reason   LowCardinality(String),
    declared DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(declared)
ORDER BY (agent, epoch, from_seq)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE OR REPLACE VIEW gaps
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT agent, start, end, count, reason, declared
FROM declared_gaps FINAL;

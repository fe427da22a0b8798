-- One row per sample; a distribution is one row per bin. `day` is the day of insertion and the
-- same for every row of a block, so that a block is one part: all of it is there or none.
-- Rows with the top bit of `series` clear are the writer's markers (see marker.go).
CREATE TABLE IF NOT EXISTS raw
(
    day    Date CODEC(ZSTD(1)),
    series UInt64 CODEC(Delta(8), ZSTD(1)),
    ts     DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    value  Float64 CODEC(Delta(8), ZSTD(1)),
    n      UInt32 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (series, ts)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- What an id in `raw` means. Every hub that meets a series writes it; the oldest first_seen is kept.
-- Kind and labels are the same in every row of an id; unit and interval are those written last.
CREATE TABLE IF NOT EXISTS known_series
(
    metric      LowCardinality(String),
    agent       String CODEC(ZSTD(1)),
    id          UInt64,
    kind        SimpleAggregateFunction(anyLast, Enum8('gauge' = 0, 'counter' = 1, 'distribution' = 2)),
    unit        SimpleAggregateFunction(anyLast, String),
    labels      SimpleAggregateFunction(anyLast, Map(String, String)) CODEC(ZSTD(1)),
    interval_ms SimpleAggregateFunction(anyLast, UInt32),
    first_seen  SimpleAggregateFunction(min, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (metric, agent, id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS known_agents
(
    agent      String,
    labels     Map(LowCardinality(String), String),
    attributes Map(LowCardinality(String), String),
    first_seen DateTime64(3, 'UTC'),
    updated    DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated)
ORDER BY agent
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The manifest: which seqs of which epoch the newest block that holds some of them took in.
-- Block 0 stands for a row whose doubt has been settled.
CREATE TABLE IF NOT EXISTS progress
(
    agent    String CODEC(ZSTD(1)),
    epoch    String CODEC(ZSTD(1)),
    version  UInt64,
    hub      UInt32,
    block    UInt32,
    from_seq UInt64,
    to_seq   UInt64,
    updated  DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (agent, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

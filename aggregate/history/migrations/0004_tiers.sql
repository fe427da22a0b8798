-- The tiers: raw summed up by series and window. A plain series has one row per window, with bin 0, and
-- a distribution one per window and bin, with the bin's value and its count, and its sum, min, max and
-- last are 0. Raw only grows, so of two rows the one that counts more is right, whoever wrote it and when.
CREATE TABLE IF NOT EXISTS tier_10s
(
    series UInt64 CODEC(Delta(8), ZSTD(1)),
    start  DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    bin    Float64 CODEC(ZSTD(1)),
    count  UInt64 CODEC(T64, ZSTD(1)),
    sum    Float64 CODEC(Delta(8), ZSTD(3)),
    min    Float64 CODEC(Delta(8), ZSTD(3)),
    max    Float64 CODEC(Delta(8), ZSTD(3)),
    last   Float64 CODEC(Delta(8), ZSTD(3))
)
ENGINE = ReplacingMergeTree(count)
PARTITION BY toDate(start)
ORDER BY (series, start, bin)
SETTINGS index_granularity = 512, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS tier_1m AS tier_10s
ENGINE = ReplacingMergeTree(count)
PARTITION BY toMonday(start)
ORDER BY (series, start, bin)
SETTINGS index_granularity = 512, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS tier_1h AS tier_10s
ENGINE = ReplacingMergeTree(count)
PARTITION BY toStartOfMonth(start)
ORDER BY (series, start, bin)
SETTINGS index_granularity = 512, fsync_after_insert = 1, fsync_part_directory = 1;

-- How far each tier has followed raw: every window that a block up to this one touched is in the tier.
-- Windows touched by later blocks are summed up anew after a restart. Hub 0 stands for what was stored
-- before there were tiers.
CREATE TABLE IF NOT EXISTS tier_progress
(
    tier    LowCardinality(String),
    hub     UInt32,
    block   UInt32,
    updated DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated)
ORDER BY (tier, hub)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

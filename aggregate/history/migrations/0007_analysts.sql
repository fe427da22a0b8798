-- What analysts see, in place of the views of 0002 and 0006. As there, a view finishes every aggregation, and reads with the
-- rights of who asks: with a definer ClickHouse does not pass the series found on to the primary key.
-- Views that only other views need come first. They tell series by id; analysts need not know them.

-- Series with the labels that most questions need as columns, named after OpenTelemetry's attributes. Where there are several
-- names for one thing, the first that the series has counts. They cost nothing where they are not asked for.
CREATE OR REPLACE VIEW named_series
SQL SECURITY INVOKER AS
SELECT
    id,
    metric,
    CAST(kind, 'String') AS kind,
    unit,
    agent,
    CAST(labels, 'Map(String, String)') AS labels,
    interval_ms,
    first_seen,
    arrayFirst(v -> v != '', [labels['service.name'], labels['service']]) AS service,
    arrayFirst(v -> v != '', [labels['deployment.environment.name'], labels['deployment.environment'], labels['env']]) AS env,
    arrayFirst(v -> v != '', [labels['cloud.region'], labels['region']]) AS region,
    labels['system.device'] AS device,
    labels['system.filesystem.mountpoint'] AS mountpoint,
    labels['network.interface.name'] AS interface,
    labels['process.executable.name'] AS process,
    arrayFirst(v -> v != '', [labels['network.io.direction'], labels['disk.io.direction'], labels['system.paging.direction']]) AS direction,
    arrayFirst(v -> v != '', [labels['cpu.mode'], labels['system.memory.state'], labels['system.filesystem.state'],
        labels['system.paging.state'], labels['process.state']]) AS state
FROM known_series FINAL;

-- The rows of all tiers, each once: of rows that a merge has not folded yet the one that counts most is right. FINAL would say
-- the same, but does not pass the series found on to the primary key. Who asks for one step reads that tier and no other.
CREATE OR REPLACE VIEW tier_rows
SQL SECURITY INVOKER AS
SELECT
    step,
    series,
    start,
    bin,
    max(tier.count) AS row_count,
    argMax((tier.sum, tier.min, tier.max, tier.last), tier.count) AS sums
FROM
(
    SELECT 10 AS step, * FROM tier_10s
    UNION ALL
    SELECT 60 AS step, * FROM tier_1m
    UNION ALL
    SELECT 3600 AS step, * FROM tier_1h
) AS tier
GROUP BY step, series, start, bin;

-- One row for each series and window, with a distribution's bins folded into one.
CREATE OR REPLACE VIEW tier_windows
SQL SECURITY INVOKER AS
SELECT
    step,
    start AS window_start,
    start + step AS window_end,
    metric,
    kind,
    unit,
    agent,
    labels,
    samples AS count,
    if(kind = 'distribution', bin_sum, total) AS sum,
    if(kind = 'distribution', least_bin, least) AS min,
    if(kind = 'distribution', greatest_bin, greatest) AS max,
    if(kind = 'distribution', nan, newest) AS last,
    service, env, region, device, mountpoint, interface, process, direction, state
FROM
(
    SELECT
        step,
        series,
        start,
        sum(row_count) AS samples,
        sum(bin * row_count) AS bin_sum,
        min(bin) AS least_bin,
        max(bin) AS greatest_bin,
        sum(sums.1) AS total,
        min(sums.2) AS least,
        max(sums.3) AS greatest,
        any(sums.4) AS newest
    FROM tier_rows
    GROUP BY step, series, start
) AS folded
INNER JOIN named_series ON folded.series = named_series.id
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

-- One row for each series of a distribution, window and bin.
CREATE OR REPLACE VIEW tier_bins
SQL SECURITY INVOKER AS
SELECT
    step,
    start AS window_start,
    start + step AS window_end,
    metric,
    unit,
    agent,
    labels,
    bin AS value,
    row_count AS count,
    service, env, region, device, mountpoint, interface, process, direction, state
FROM tier_rows
INNER JOIN (SELECT * FROM named_series WHERE kind = 'distribution') AS named_series ON tier_rows.series = named_series.id
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

-- The rows that a metric's whole windows of any number of seconds are made of, each with the start of its window: from the coarsest tier
-- whose windows divide those asked for, else from raw. A window is whole where it has begun at `since`, has ended by `until`, and all of
-- it is stored: what has ended by the end of the tier's newest window, of raw five seconds ago.
CREATE OR REPLACE VIEW rows_every
SQL SECURITY INVOKER AS
WITH
    multiIf({step:UInt32} % 3600 = 0, 3600, {step:UInt32} % 60 = 0, 60, {step:UInt32} % 10 = 0, 10, 1) AS source,
    (
        SELECT max(least(stored, now()))
        FROM
        (
            SELECT 1 AS step, now() - 5 AS stored
            UNION ALL
            SELECT 10 AS step, max(start) + 10 FROM tier_10s
            UNION ALL
            SELECT 60 AS step, max(start) + 60 FROM tier_1m
            UNION ALL
            SELECT 3600 AS step, max(start) + 3600 FROM tier_1h
        )
        WHERE step = source
    ) AS stored,
    parseDateTimeBestEffort({since:String}) AS since,
    least(parseDateTimeBestEffort({until:String}), stored) AS until,
    intDiv(toUnixTimestamp(since) + {step:UInt32} - 1, {step:UInt32}) * {step:UInt32} AS begin,
    intDiv(toUnixTimestamp(until), {step:UInt32}) * {step:UInt32} AS past
SELECT
    series,
    toDateTime(intDiv(toUnixTimestamp(start), {step:UInt32}) * {step:UInt32}, 'UTC') AS window_start,
    bin,
    row_count,
    sums,
    (toFloat64(toUnixTimestamp(start)) * 1000, toFloat64(0)) AS rank
FROM tier_rows
WHERE step = source
    AND series IN (SELECT id FROM named_series WHERE metric = {metric:String})
    AND start >= toDateTime(begin, 'UTC') AND start < toDateTime(past, 'UTC')
UNION ALL
SELECT
    series,
    toDateTime(intDiv(toUnixTimestamp(ts), {step:UInt32}) * {step:UInt32}, 'UTC') AS window_start,
    value AS bin,
    toUInt64(n) AS row_count,
    (value, value, value, value) AS sums,
    (toFloat64(toUnixTimestamp64Milli(ts)), value) AS rank
FROM raw
WHERE source = 1
    AND series IN (SELECT id FROM named_series WHERE metric = {metric:String})
    AND ts >= fromUnixTimestamp64Milli(begin * 1000) AND ts < fromUnixTimestamp64Milli(past * 1000)
    AND day >= toDate(toDateTime(begin - 3600, 'UTC'));

-- What follows is for analysts.
CREATE OR REPLACE VIEW series
SQL SECURITY INVOKER AS
SELECT
    metric, kind, unit, agent, labels, interval_ms, first_seen,
    service, env, region, device, mountpoint, interface, process, direction, state
FROM named_series;

CREATE OR REPLACE VIEW samples
SQL SECURITY INVOKER AS
SELECT
    raw.ts AS ts,
    metric,
    kind,
    unit,
    agent,
    labels,
    raw.value AS value,
    raw.n AS count,
    service, env, region, device, mountpoint, interface, process, direction, state
FROM raw
INNER JOIN named_series ON raw.series = named_series.id
WHERE raw.series >= 9223372036854775808
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

CREATE OR REPLACE VIEW samples_10s SQL SECURITY INVOKER AS SELECT * EXCEPT (step) FROM tier_windows WHERE step = 10;

CREATE OR REPLACE VIEW samples_1m SQL SECURITY INVOKER AS SELECT * EXCEPT (step) FROM tier_windows WHERE step = 60;

CREATE OR REPLACE VIEW samples_1h SQL SECURITY INVOKER AS SELECT * EXCEPT (step) FROM tier_windows WHERE step = 3600;

CREATE OR REPLACE VIEW bins_10s SQL SECURITY INVOKER AS SELECT * EXCEPT (step) FROM tier_bins WHERE step = 10;

CREATE OR REPLACE VIEW bins_1m SQL SECURITY INVOKER AS SELECT * EXCEPT (step) FROM tier_bins WHERE step = 60;

CREATE OR REPLACE VIEW bins_1h SQL SECURITY INVOKER AS SELECT * EXCEPT (step) FROM tier_bins WHERE step = 3600;

CREATE OR REPLACE VIEW samples_every
SQL SECURITY INVOKER AS
SELECT
    window_start,
    window_start + {step:UInt32} AS window_end,
    metric,
    kind,
    unit,
    agent,
    labels,
    samples AS count,
    if(kind = 'distribution', bin_sum, total) AS sum,
    if(kind = 'distribution', least_bin, least) AS min,
    if(kind = 'distribution', greatest_bin, greatest) AS max,
    if(kind = 'distribution', nan, newest) AS last,
    service, env, region, device, mountpoint, interface, process, direction, state
FROM
(
    SELECT
        series,
        window_start,
        sum(row_count) AS samples,
        sum(bin * row_count) AS bin_sum,
        min(bin) AS least_bin,
        max(bin) AS greatest_bin,
        sum(sums.1) AS total,
        min(sums.2) AS least,
        max(sums.3) AS greatest,
        argMax(sums.4, rank) AS newest
    FROM rows_every(metric = {metric:String}, since = {since:String}, until = {until:String}, step = {step:UInt32})
    GROUP BY series, window_start
) AS folded
INNER JOIN (SELECT * FROM named_series WHERE metric = {metric:String}) AS named_series ON folded.series = named_series.id
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

CREATE OR REPLACE VIEW bins_every
SQL SECURITY INVOKER AS
SELECT
    window_start,
    window_start + {step:UInt32} AS window_end,
    metric,
    unit,
    agent,
    labels,
    bin AS value,
    values_within AS count,
    service, env, region, device, mountpoint, interface, process, direction, state
FROM
(
    SELECT series, window_start, bin, sum(row_count) AS values_within
    FROM rows_every(metric = {metric:String}, since = {since:String}, until = {until:String}, step = {step:UInt32})
    GROUP BY series, window_start, bin
) AS folded
INNER JOIN
(
    SELECT * FROM named_series WHERE metric = {metric:String} AND kind = 'distribution'
) AS named_series ON folded.series = named_series.id
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

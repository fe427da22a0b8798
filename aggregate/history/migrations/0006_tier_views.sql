-- The tiers as analysts see them: one row for each series and window, with a distribution's bins folded into
-- one. Windows that are still open are in no tier. As `samples` they read with the rights of who asks.
-- Rows that a merge has not folded yet are told apart by their count, and not by FINAL, which does not pass the
-- series found on to the primary key: of one agent's series it read all rows of the tier.
-- What is grouped by beside the series can be asked for before the sums are made.
CREATE OR REPLACE VIEW samples_10s
SQL SECURITY INVOKER AS
SELECT
    start AS window_start,
    start + 10 AS window_end,
    metric,
    any(series_kind) AS kind,
    any(series_unit) AS unit,
    agent,
    any(series_labels) AS labels,
    sum(row_count) AS count,
    if(kind = 'distribution', sum(bin * row_count), sum(sums.1)) AS sum,
    if(kind = 'distribution', min(bin), min(sums.2)) AS min,
    if(kind = 'distribution', max(bin), max(sums.3)) AS max,
    if(kind = 'distribution', nan, any(sums.4)) AS last
FROM
(
    SELECT
        tier.series AS series,
        tier.start AS start,
        tier.bin AS bin,
        known.metric AS metric,
        known.agent AS agent,
        any(CAST(known.kind, 'String')) AS series_kind,
        any(CAST(known.unit, 'String')) AS series_unit,
        any(CAST(known.labels, 'Map(String, String)')) AS series_labels,
        max(tier.count) AS row_count,
        argMax((tier.sum, tier.min, tier.max, tier.last), tier.count) AS sums
    FROM tier_10s AS tier
    INNER JOIN (SELECT * FROM known_series FINAL) AS known ON tier.series = known.id
    GROUP BY series, start, bin, metric, agent
)
GROUP BY series, start, metric, agent
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

CREATE OR REPLACE VIEW samples_1m
SQL SECURITY INVOKER AS
SELECT
    start AS window_start,
    start + 60 AS window_end,
    metric,
    any(series_kind) AS kind,
    any(series_unit) AS unit,
    agent,
    any(series_labels) AS labels,
    sum(row_count) AS count,
    if(kind = 'distribution', sum(bin * row_count), sum(sums.1)) AS sum,
    if(kind = 'distribution', min(bin), min(sums.2)) AS min,
    if(kind = 'distribution', max(bin), max(sums.3)) AS max,
    if(kind = 'distribution', nan, any(sums.4)) AS last
FROM
(
    SELECT
        tier.series AS series,
        tier.start AS start,
        tier.bin AS bin,
        known.metric AS metric,
        known.agent AS agent,
        any(CAST(known.kind, 'String')) AS series_kind,
        any(CAST(known.unit, 'String')) AS series_unit,
        any(CAST(known.labels, 'Map(String, String)')) AS series_labels,
        max(tier.count) AS row_count,
        argMax((tier.sum, tier.min, tier.max, tier.last), tier.count) AS sums
    FROM tier_1m AS tier
    INNER JOIN (SELECT * FROM known_series FINAL) AS known ON tier.series = known.id
    GROUP BY series, start, bin, metric, agent
)
GROUP BY series, start, metric, agent
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

CREATE OR REPLACE VIEW samples_1h
SQL SECURITY INVOKER AS
SELECT
    start AS window_start,
    start + 3600 AS window_end,
    metric,
    any(series_kind) AS kind,
    any(series_unit) AS unit,
    agent,
    any(series_labels) AS labels,
    sum(row_count) AS count,
    if(kind = 'distribution', sum(bin * row_count), sum(sums.1)) AS sum,
    if(kind = 'distribution', min(bin), min(sums.2)) AS min,
    if(kind = 'distribution', max(bin), max(sums.3)) AS max,
    if(kind = 'distribution', nan, any(sums.4)) AS last
FROM
(
    SELECT
        tier.series AS series,
        tier.start AS start,
        tier.bin AS bin,
        known.metric AS metric,
        known.agent AS agent,
        any(CAST(known.kind, 'String')) AS series_kind,
        any(CAST(known.unit, 'String')) AS series_unit,
        any(CAST(known.labels, 'Map(String, String)')) AS series_labels,
        max(tier.count) AS row_count,
        argMax((tier.sum, tier.min, tier.max, tier.last), tier.count) AS sums
    FROM tier_1h AS tier
    INNER JOIN (SELECT * FROM known_series FINAL) AS known ON tier.series = known.id
    GROUP BY series, start, bin, metric, agent
)
GROUP BY series, start, metric, agent
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

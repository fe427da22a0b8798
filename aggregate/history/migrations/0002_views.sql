-- What analysts see. A view finishes every aggregation, so nobody needs to know of ids,
-- markers or rows that a merge has not folded yet. Two views read with the rights of the hub's user.
-- `samples` reads with those of who asks, who so needs to read its two tables: with a definer
-- ClickHouse does not pass the series found on to the primary key, and reads every sample there is.
CREATE OR REPLACE VIEW series
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    metric,
    CAST(kind, 'String') AS kind,
    unit,
    agent,
    labels,
    interval_ms,
    first_seen
FROM known_series FINAL;

CREATE OR REPLACE VIEW agents
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    agent,
    labels,
    attributes,
    first_seen,
    greatest(known_agents.updated, stored.last_stored) AS last_seen
FROM known_agents FINAL
LEFT JOIN
(
    SELECT agent, max(updated) AS last_stored FROM progress GROUP BY agent
) AS stored USING (agent);

CREATE OR REPLACE VIEW samples
SQL SECURITY INVOKER AS
SELECT
    raw.ts AS ts,
    known.metric AS metric,
    CAST(known.kind, 'String') AS kind,
    known.unit AS unit,
    known.agent AS agent,
    known.labels AS labels,
    raw.value AS value,
    raw.n AS count
FROM raw
INNER JOIN (SELECT * FROM known_series FINAL) AS known ON raw.series = known.id
WHERE raw.series >= 9223372036854775808
SETTINGS enable_join_runtime_filters = 1, enable_join_runtime_filters_index_analysis = 1;

-- How far an agent's clock is ahead of the hub's, as of the last connection on which that was measured.
ALTER TABLE known_agents ADD COLUMN IF NOT EXISTS clock_offset_ms Nullable(Int32);

CREATE OR REPLACE VIEW agents
DEFINER = CURRENT_USER SQL SECURITY DEFINER AS
SELECT
    agent,
    labels,
    attributes,
    first_seen,
    greatest(known_agents.updated, stored.last_stored) AS last_seen,
    clock_offset_ms
FROM known_agents FINAL
LEFT JOIN
(
    SELECT agent, max(updated) AS last_stored FROM progress GROUP BY agent
) AS stored USING (agent);

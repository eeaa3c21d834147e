-- Backwards along the primary key: a step finds the next watch together with its newest window. It looks at the days
-- since the one of `since` only, and for a watch that has fallen silent it does not pass the windows of the day.
CREATE FUNCTION newest_windows(since timestamptz) RETURNS TABLE (device_id text, window_start timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000 AS $$
    WITH RECURSIVE newest (device_id, window_start) AS (
        (SELECT p.device_id, p.window_start FROM predictions p
         WHERE p.window_start >= date_trunc('day', since, 'UTC')
         ORDER BY p.device_id DESC, p.window_start DESC LIMIT 1)
        UNION ALL
        SELECT before.* FROM newest CROSS JOIN LATERAL (
            SELECT p.device_id, p.window_start FROM predictions p
            WHERE p.device_id < newest.device_id AND p.window_start >= date_trunc('day', since, 'UTC')
            ORDER BY p.device_id DESC, p.window_start DESC LIMIT 1
        ) AS before
    )
    SELECT newest.device_id, newest.window_start FROM newest WHERE newest.window_start >= since
$$;
COMMENT ON FUNCTION newest_windows IS 'Watches with a window since then, and the newest one of each';

-- The latest window with an activity is the newest one, or one shortly before: other days are looked at only for
-- watches without. OFFSET 0: one look-up a watch, whatever the planner believes of sizes
CREATE OR REPLACE VIEW current_activity AS
SELECT latest.device_id, latest.activity, latest.confidence, latest.smoothed_activity,
       latest.smoothed_confidence, latest.kcal_per_min, latest.window_start, latest.window_end,
       latest.coverage, latest.model_version, latest.processed_at,
       now() - latest.window_end AS age,
       (SELECT devices.device_model FROM devices WHERE devices.device_id = newest.device_id) AS device_model,
       latest.familiarity, latest.decided
FROM (SELECT max(window_start) - interval '7 days' FROM predictions) AS week (since)
CROSS JOIN LATERAL newest_windows(week.since) AS newest
CROSS JOIN LATERAL (
    SELECT coalesce(
        (SELECT max(p.window_start) FROM predictions p
         WHERE p.device_id = newest.device_id AND p.activity IS NOT NULL AND p.window_start >= week.since
           AND p.window_start BETWEEN newest.window_start - interval '10 minutes' AND newest.window_start),
        (SELECT max(p.window_start) FROM predictions p
         WHERE p.device_id = newest.device_id AND p.activity IS NOT NULL AND p.window_start >= week.since))
) AS known (window_start)
CROSS JOIN LATERAL (
    SELECT * FROM predictions p
    WHERE p.device_id = newest.device_id AND p.window_start = known.window_start OFFSET 0
) AS latest;

-- A minute's rows are read once, and sorted once for both percentiles.
CREATE OR REPLACE VIEW throughput_by_minute AS
SELECT minutes.minute, found.windows, found.without_activity, found.readings, found.duplicates, found.watches,
       found.latency[1] AS latency_p50_seconds, found.latency[2] AS latency_p95_seconds
FROM (
    SELECT minute FROM generate_series(
        (SELECT date_trunc('minute', min(processed_at)) FROM predictions),
        (SELECT max(processed_at) FROM predictions), interval '1 minute') AS series (minute)
    ORDER BY minute DESC
) AS minutes
CROSS JOIN LATERAL (
    WITH written AS MATERIALIZED (
        SELECT device_id, activity, readings_used, duplicates,
               date_part('epoch', processed_at - received_at) AS latency
        FROM predictions
        WHERE processed_at >= minutes.minute AND processed_at < minutes.minute + interval '1 minute'
    )
    SELECT count(*) AS windows,
           count(*) FILTER (WHERE activity IS NULL) AS without_activity,
           sum(readings_used) AS readings,
           sum(duplicates) AS duplicates,
           (SELECT count(*) FROM (SELECT DISTINCT device_id FROM written) AS watches) AS watches,
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency) AS latency
    FROM written
) AS found
WHERE found.windows > 0;

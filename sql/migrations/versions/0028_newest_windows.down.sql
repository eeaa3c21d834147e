CREATE OR REPLACE VIEW current_activity AS
WITH RECURSIVE week (since) AS (
    SELECT max(window_start) - interval '7 days' FROM predictions
), watches (device_id) AS (
    (SELECT device_id FROM predictions WHERE window_start >= (SELECT since FROM week) ORDER BY device_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.device_id FROM predictions p
            WHERE p.device_id > watches.device_id AND p.window_start >= (SELECT since FROM week)
            ORDER BY p.device_id LIMIT 1)
    FROM watches WHERE watches.device_id IS NOT NULL
)
SELECT latest.device_id, latest.activity, latest.confidence, latest.smoothed_activity,
       latest.smoothed_confidence, latest.kcal_per_min, latest.window_start, latest.window_end,
       latest.coverage, latest.model_version, latest.processed_at,
       now() - latest.window_end AS age, devices.device_model, latest.familiarity, latest.decided
FROM watches
CROSS JOIN LATERAL (
    SELECT * FROM predictions p
    WHERE p.device_id = watches.device_id AND p.activity IS NOT NULL
      AND p.window_start >= (SELECT since FROM week)
    ORDER BY p.window_start DESC LIMIT 1
) AS latest
LEFT JOIN devices ON devices.device_id = latest.device_id
WHERE watches.device_id IS NOT NULL;

CREATE OR REPLACE VIEW throughput_by_minute AS
SELECT minutes.minute, found.*
FROM (
    SELECT minute FROM generate_series(
        (SELECT date_trunc('minute', min(processed_at)) FROM predictions),
        (SELECT max(processed_at) FROM predictions), interval '1 minute') AS series (minute)
    ORDER BY minute DESC
) AS minutes
CROSS JOIN LATERAL (
    SELECT count(*) AS windows,
           count(*) FILTER (WHERE activity IS NULL) AS without_activity,
           sum(readings_used) AS readings,
           sum(duplicates) AS duplicates,
           count(DISTINCT device_id) AS watches,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
               AS latency_p50_seconds,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
               AS latency_p95_seconds
    FROM predictions
    WHERE processed_at >= minutes.minute AND processed_at < minutes.minute + interval '1 minute'
) AS found
WHERE found.windows > 0;

DROP FUNCTION newest_windows;

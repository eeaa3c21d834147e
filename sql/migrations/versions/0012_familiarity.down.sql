DROP VIEW device_calibrations_in_force;
DROP TABLE device_calibrations;
-- it reads every column of predictions
DROP VIEW current_activity;
DO $days$
DECLARE
    day text;
BEGIN
    FOR day IN SELECT name FROM prediction_days_taken_out LOOP
        EXECUTE format('ALTER TABLE %I DROP COLUMN familiarity', day);
    END LOOP;
END
$days$;
ALTER TABLE predictions DROP COLUMN familiarity;

CREATE VIEW current_activity AS
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
       now() - latest.window_end AS age
FROM watches
CROSS JOIN LATERAL (
    SELECT * FROM predictions p
    WHERE p.device_id = watches.device_id AND p.activity IS NOT NULL
      AND p.window_start >= (SELECT since FROM week)
    ORDER BY p.window_start DESC LIMIT 1
) AS latest
WHERE watches.device_id IS NOT NULL;
COMMENT ON VIEW current_activity IS
    'The latest window of each watch that has an activity in the last week of data, and how old it is';

DROP VIEW current_activity, predictions_readable;

-- days on their way to the lake have the same columns
DO $days$
DECLARE
    day text;
BEGIN
    FOR day IN SELECT name FROM prediction_days_taken_out LOOP
        EXECUTE format('ALTER TABLE %I DROP COLUMN decided', day);
    END LOOP;
END
$days$;
ALTER TABLE predictions DROP COLUMN decided;

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
       now() - latest.window_end AS age, devices.device_model, latest.familiarity
FROM watches
CROSS JOIN LATERAL (
    SELECT * FROM predictions p
    WHERE p.device_id = watches.device_id AND p.activity IS NOT NULL
      AND p.window_start >= (SELECT since FROM week)
    ORDER BY p.window_start DESC LIMIT 1
) AS latest
LEFT JOIN devices ON devices.device_id = latest.device_id
WHERE watches.device_id IS NOT NULL;
COMMENT ON VIEW current_activity IS
    'The latest window of each watch that has an activity in the last week of data, and how old it is';

CREATE VIEW predictions_readable AS
SELECT p.device_id, p.window_start, p.activity, round(p.confidence::numeric, 3) AS confidence,
       p.smoothed_activity, round(p.smoothed_confidence::numeric, 3) AS smoothed_confidence,
       array_to_string(p.conformal_set, ', ') AS conformal_set,
       (SELECT jsonb_object_agg(label, round(probability::numeric, 4))
        FROM unnest(meaning.labels, p.probabilities) AS pairs (label, probability)) AS probabilities,
       round(p.kcal_per_min::numeric, 2) AS kcal_per_min, round(p.coverage::numeric, 2) AS coverage,
       p.readings_used, p.reason, p.model_version, p.processed_at, devices.device_model,
       round(p.familiarity::numeric, 3) AS familiarity
FROM predictions p
LEFT JOIN LATERAL (
    SELECT labels FROM model_versions WHERE version = p.model_version ORDER BY registered_at DESC LIMIT 1
) AS meaning ON true
LEFT JOIN devices ON devices.device_id = p.device_id;
COMMENT ON VIEW predictions_readable IS 'Predictions with probabilities by label, rounded';

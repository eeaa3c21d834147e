-- One table again, with every row.

DROP VIEW current_activity, throughput_by_minute, predictions_readable, prediction_days, prediction_days_taken_out;
DROP FUNCTION make_prediction_days, take_out_prediction_day, take_late_predictions, drop_prediction_day;
ALTER TABLE predictions RENAME TO predictions_by_day;
ALTER INDEX predictions_pkey RENAME TO predictions_by_day_pkey;
ALTER INDEX predictions_window_start RENAME TO predictions_by_day_window_start;
ALTER INDEX predictions_processed_at RENAME TO predictions_by_day_processed_at;
CREATE TABLE predictions (LIKE predictions_by_day INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)
    WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
INSERT INTO predictions SELECT * FROM predictions_by_day;
DROP TABLE predictions_by_day;
ALTER TABLE predictions ADD PRIMARY KEY (device_id, window_start);
CREATE INDEX predictions_window_start ON predictions (window_start);
CREATE INDEX predictions_processed_at ON predictions (processed_at);
COMMENT ON TABLE predictions IS 'One row a watch and window; replaced only by one computed from more readings';

CREATE VIEW current_activity AS
WITH RECURSIVE watches (device_id) AS (
    (SELECT device_id FROM predictions ORDER BY device_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.device_id FROM predictions p WHERE p.device_id > watches.device_id
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
    ORDER BY p.window_start DESC LIMIT 1
) AS latest
WHERE watches.device_id IS NOT NULL;
COMMENT ON VIEW current_activity IS 'The latest window of each watch that has an activity, and how old it is';

CREATE VIEW throughput_by_minute AS
SELECT date_trunc('minute', processed_at) AS minute,
       count(*) AS windows,
       count(*) FILTER (WHERE activity IS NULL) AS without_activity,
       sum(readings_used) AS readings,
       sum(duplicates) AS duplicates,
       count(DISTINCT device_id) AS watches,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
           AS latency_p50_seconds,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM processed_at - received_at))
           AS latency_p95_seconds
FROM predictions
GROUP BY 1;
COMMENT ON VIEW throughput_by_minute IS
    'Windows by the minute they were last written in; latency: from the newest reading''s arrival to its row';

CREATE VIEW predictions_readable AS
SELECT p.device_id, p.window_start, p.activity, round(p.confidence::numeric, 3) AS confidence,
       p.smoothed_activity, round(p.smoothed_confidence::numeric, 3) AS smoothed_confidence,
       array_to_string(p.conformal_set, ', ') AS conformal_set,
       (SELECT jsonb_object_agg(label, round(probability::numeric, 4))
        FROM unnest(meaning.labels, p.probabilities) AS pairs (label, probability)) AS probabilities,
       round(p.kcal_per_min::numeric, 2) AS kcal_per_min, round(p.coverage::numeric, 2) AS coverage,
       p.readings_used, p.reason, p.model_version, p.processed_at
FROM predictions p
LEFT JOIN LATERAL (
    SELECT labels FROM model_versions WHERE version = p.model_version ORDER BY registered_at DESC LIMIT 1
) AS meaning ON true;
COMMENT ON VIEW predictions_readable IS 'Predictions with probabilities by label, rounded';

-- Recompute the smoothed activity of the given windows and of those that look back at them; returns how many rows
-- changed. A window looks back at itself and at the windows - 1 before it, each its own length earlier, so also
-- where windows overlap the evidence does not. A window without probabilities is no evidence and is not smoothed;
-- nor is one evidence whose version has other labels.
CREATE OR REPLACE FUNCTION refresh_smoothed(
    device_ids text[], window_starts timestamptz[], windows integer, stay double precision
)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    -- Each LATERAL with OFFSET 0 is one look-up along the primary key, whatever the planner believes of sizes.
    WITH meaning AS MATERIALIZED (
        SELECT DISTINCT ON (version) version, labels FROM model_versions ORDER BY version, registered_at DESC
    ), keys AS MATERIALIZED (
        SELECT DISTINCT given.device_id, later.window_start, later.length, later.model_version
        FROM unnest(device_ids, window_starts) AS given (device_id, window_start)
        CROSS JOIN LATERAL (
            SELECT p.window_start, p.window_end - p.window_start AS length, p.model_version
            FROM predictions p
            WHERE p.device_id = given.device_id AND p.window_start >= given.window_start
              AND p.window_start <= given.window_start + (windows - 1) * (
                  SELECT t.window_end - t.window_start FROM predictions t
                  WHERE t.device_id = given.device_id AND t.window_start = given.window_start)
              AND p.probabilities IS NOT NULL
            OFFSET 0
        ) AS later
    ), filtered AS MATERIALIZED (
        SELECT keys.device_id, keys.window_start, meaning.labels[best.place] AS activity,
               best.alpha::real AS confidence
        FROM keys
        JOIN meaning ON meaning.version = keys.model_version
        CROSS JOIN LATERAL (
            SELECT array_agg(seen.probabilities) AS evidence, array_agg(seen.earlier) AS age
            FROM (
                SELECT p.probabilities, p.model_version,
                       round(date_part('epoch', keys.window_start - p.window_start)
                             / date_part('epoch', keys.length))::integer AS earlier,
                       p.window_start
                FROM predictions p
                WHERE p.device_id = keys.device_id AND p.window_start <= keys.window_start
                  AND p.window_start >= keys.window_start - (windows - 1) * keys.length
                  AND p.probabilities IS NOT NULL
                  AND cardinality(p.probabilities) = cardinality(meaning.labels)
                  AND (p.model_version = keys.model_version OR EXISTS (
                      SELECT FROM meaning same
                      WHERE same.version = p.model_version AND same.labels = meaning.labels))
                ORDER BY p.window_start OFFSET 0
            ) AS seen
            WHERE seen.window_start = keys.window_start - seen.earlier * keys.length
            OFFSET 0
        ) AS history
        CROSS JOIN LATERAL (
            SELECT place, alpha
            FROM unnest(forward_filter(history.evidence, history.age, stay))
                WITH ORDINALITY AS states (alpha, place)
            ORDER BY alpha DESC, place LIMIT 1
        ) AS best
        WHERE history.age[cardinality(history.age)] = 0
    )
    UPDATE predictions p
    SET smoothed_activity = filtered.activity, smoothed_confidence = filtered.confidence
    FROM filtered
    WHERE p.device_id = filtered.device_id AND p.window_start = filtered.window_start
      AND (p.smoothed_activity, p.smoothed_confidence)
          IS DISTINCT FROM (filtered.activity, filtered.confidence);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$
-- keys are few and the table is large: look each one up
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off;
COMMENT ON FUNCTION refresh_smoothed IS 'Recompute the smoothed activity of these windows and of those after them';

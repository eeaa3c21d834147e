-- Views for people who query; docs/sql.md has examples.

-- The latest window of each watch that has an activity. The recursion hops from watch to watch along the primary
-- key: two look-ups a watch, however many windows each has.
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

-- Runs of one activity. A watch that says nothing for more than a minute ends its bout. Where windows overlap, each
-- counts for the time until the next one, so that energy is not counted twice.
CREATE FUNCTION bouts_since(since timestamptz)
RETURNS TABLE (
    device_id text, activity text, bout_start timestamptz, bout_end timestamptz, minutes double precision,
    windows bigint, mean_confidence double precision, kcal double precision
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH named AS (
        SELECT p.device_id, coalesce(p.smoothed_activity, p.activity) AS activity, p.window_start, p.window_end,
               coalesce(p.smoothed_confidence, p.confidence) AS confidence, p.kcal_per_min
        FROM predictions p
        WHERE p.activity IS NOT NULL AND p.window_start >= since
    ), neighbours AS (
        SELECT named.*,
               lag(named.activity) OVER watch AS activity_before,
               lag(window_end) OVER watch AS end_before,
               lead(window_start) OVER watch AS next_start
        FROM named
        WINDOW watch AS (PARTITION BY named.device_id ORDER BY window_start)
    ), numbered AS (
        SELECT neighbours.*,
               extract(epoch FROM least(window_end, next_start) - window_start) / 60 AS own_minutes,
               count(*) FILTER (
                   WHERE activity_before IS DISTINCT FROM neighbours.activity
                      OR window_start > end_before + interval '1 minute'
               ) OVER (PARTITION BY neighbours.device_id ORDER BY window_start) AS bout
        FROM neighbours
    )
    SELECT numbered.device_id, numbered.activity, min(window_start), max(window_end),
           (extract(epoch FROM max(window_end) - min(window_start)) / 60)::double precision,
           count(*), avg(confidence), sum(kcal_per_min * own_minutes)::double precision
    FROM numbered
    GROUP BY numbered.device_id, bout, numbered.activity
$$;
COMMENT ON FUNCTION bouts_since IS 'Runs of one smoothed activity a watch, from the windows since then';

CREATE VIEW bouts AS SELECT * FROM bouts_since('-infinity');
COMMENT ON VIEW bouts IS 'Runs of one smoothed activity a watch; minutes, mean confidence, kcal';

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

CREATE VIEW dead_letter_summary AS
SELECT topic, reason, count(*) AS letters, count(DISTINCT device_id) AS devices,
       count(*) FILTER (WHERE replayed_at IS NOT NULL) AS replayed,
       min(noticed_at) AS first_noticed, max(noticed_at) AS last_noticed, max(detail) AS an_example
FROM dead_letters
GROUP BY topic, reason;
COMMENT ON VIEW dead_letter_summary IS 'Dead letters by topic and reason';

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
COMMENT ON VIEW predictions_readable IS 'Predictions with probabilities by label, rounded for the eye';

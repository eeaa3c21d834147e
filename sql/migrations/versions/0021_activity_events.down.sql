DROP TABLE webhook_secrets;
DROP TABLE webhooks;
DROP TABLE event_senders;
DROP FUNCTION tell_bouts(text[], timestamptz[], timestamptz[], integer, boolean);
DROP FUNCTION silent_watches(interval, boolean);
DROP TABLE activity_events;

CREATE OR REPLACE FUNCTION bouts_since(since timestamptz)
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
DROP FUNCTION bouts_between(timestamptz, timestamptz, boolean);

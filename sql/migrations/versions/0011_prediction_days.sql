-- Predictions by day (UTC) of window_start, so that an old day leaves by dropping its table, and no row is deleted.
-- What is there becomes one partition as it is, checked once and not copied. docs/adr/0012-predictions-by-day.md

DROP VIEW current_activity, throughput_by_minute, predictions_readable;
ALTER TABLE predictions RENAME TO predictions_before;
ALTER INDEX predictions_pkey RENAME TO predictions_before_pkey;
ALTER INDEX predictions_window_start RENAME TO predictions_before_window_start;
ALTER INDEX predictions_processed_at RENAME TO predictions_before_processed_at;

CREATE TABLE predictions (LIKE predictions_before INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)
    PARTITION BY RANGE (window_start);
ALTER TABLE predictions ADD PRIMARY KEY (device_id, window_start);
CREATE INDEX predictions_window_start ON predictions (window_start);
CREATE INDEX predictions_processed_at ON predictions (processed_at);
COMMENT ON TABLE predictions IS 'One row a watch and window, in a partition a day; replaced only by one computed from more readings';

-- for a day that has no partition (yet, or no more)
CREATE TABLE predictions_default PARTITION OF predictions DEFAULT
    WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

DO $attach$
DECLARE
    until timestamptz := greatest(
        date_trunc('day', now(), 'UTC'), date_trunc('day', (SELECT max(window_start) FROM predictions_before), 'UTC')
    ) + interval '24 hours';
BEGIN
    IF EXISTS (SELECT FROM predictions_before) THEN
        EXECUTE format('ALTER TABLE predictions ATTACH PARTITION predictions_before FOR VALUES FROM (MINVALUE) TO (%L)',
                       until);
    ELSE
        DROP TABLE predictions_before;
    END IF;
END
$attach$;

CREATE VIEW prediction_days AS
SELECT c.relname::text AS name, bounds.from_at, bounds.until_at, c.reltuples::bigint AS rows,
       pg_total_relation_size(c.oid) AS bytes
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (
    SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \((.+)\) TO \((.+)\)') AS ends
) AS found
CROSS JOIN LATERAL (
    SELECT CASE WHEN ends[1] = 'MINVALUE' THEN '-infinity' ELSE trim('''' FROM ends[1])::timestamptz END AS from_at,
           trim('''' FROM ends[2])::timestamptz AS until_at
) AS bounds
WHERE i.inhparent = 'predictions'::regclass;
COMMENT ON VIEW prediction_days IS
    'The partitions of predictions: their range of window_start (null: the default one), rows about, bytes';

-- Partitions are made, taken out and dropped by these functions only, for roles that do not own the table
-- (sql/grants.sql). A lock that is not had within seconds is an error, so that no query waits behind it.

CREATE FUNCTION make_prediction_days(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    day   date;
    begin_at timestamptz;
    end_at timestamptz;
    name  text;
    made  integer := 0;
BEGIN
    IF last_day > first_day + 400 THEN
        RAISE EXCEPTION 'at most 400 days at once, not % to %', first_day, last_day;
    END IF;
    -- most often all are there: then nobody waits for anybody
    IF NOT EXISTS (
        SELECT FROM generate_series(first_day, last_day, interval '1 day') AS wanted (at)
        WHERE NOT EXISTS (SELECT FROM prediction_days p
                          WHERE p.from_at < (wanted.at::date + 1)::timestamp AT TIME ZONE 'UTC'
                            AND p.until_at > wanted.at::date::timestamp AT TIME ZONE 'UTC')
    ) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(7204110003);
    FOR day IN SELECT generate_series(first_day, last_day, interval '1 day')::date LOOP
        begin_at := day::timestamp AT TIME ZONE 'UTC';
        end_at := (day + 1)::timestamp AT TIME ZONE 'UTC';
        name := 'predictions_' || to_char(day, 'YYYYMMDD');
        -- one of that name may have been taken out and wait to be dropped
        CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL OR EXISTS (
            SELECT FROM prediction_days p WHERE p.from_at < end_at AND p.until_at > begin_at);
        -- attached, not made in place: writers of other days need not wait
        EXECUTE format('CREATE TABLE %I (LIKE predictions INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (fillfactor = 70, '
                       'autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)', name);
        IF EXISTS (SELECT FROM predictions_default WHERE window_start >= begin_at AND window_start < end_at) THEN
            LOCK TABLE predictions_default IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('WITH moved AS (DELETE FROM predictions_default WHERE window_start >= %L AND window_start < %L '
                           'RETURNING *) INSERT INTO %I SELECT * FROM moved', begin_at, end_at, name);
        END IF;
        EXECUTE format('ALTER TABLE predictions ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, begin_at, end_at);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION make_prediction_days IS 'Make the partitions of predictions for days (UTC) that have none; how many';

CREATE FUNCTION take_out_prediction_day(day_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7204110003);
    IF NOT EXISTS (SELECT FROM prediction_days WHERE name = day_name AND until_at <= now()) THEN
        RAISE EXCEPTION '% is no partition of predictions that is over', day_name;
    END IF;
    EXECUTE format('ALTER TABLE predictions DETACH PARTITION %I', day_name);
    EXECUTE format('COMMENT ON TABLE %I IS %L', day_name, 'A day taken out of predictions; dropped once the lake has it');
    EXECUTE format('GRANT SELECT ON %I TO %I', day_name, session_user);
END
$$;
COMMENT ON FUNCTION take_out_prediction_day IS 'Take a past partition out of predictions; the table stays until it is dropped';

CREATE VIEW prediction_days_taken_out AS
SELECT c.relname::text AS name
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
  AND c.relname ~ '^predictions_(before|\d{8})$';
COMMENT ON VIEW prediction_days_taken_out IS 'Tables of days that were taken out of predictions and not dropped yet';

CREATE FUNCTION drop_prediction_day(day_name text, expected_rows bigint, expected_sum numeric) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    same boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM prediction_days_taken_out WHERE name = day_name) THEN
        RAISE EXCEPTION '% is no day that was taken out of predictions', day_name;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', day_name);
    EXECUTE format('SELECT count(*) = $1 AND coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) = $2 FROM %I t',
                   day_name) INTO same USING expected_rows, expected_sum;
    IF same THEN
        EXECUTE format('DROP TABLE %I', day_name);
    END IF;
    RETURN same;
END
$$;
COMMENT ON FUNCTION drop_prediction_day IS
    'Drop a day that was taken out, if it has these rows and this sum of their hashes; whether it was dropped';

-- Rows of a past day that came when its partition was gone: deleted, and given to who writes them to the lake within
-- the same transaction.
CREATE FUNCTION take_late_predictions(late_day date) RETURNS SETOF predictions
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    RETURN QUERY
        DELETE FROM predictions_default d
        WHERE d.window_start >= late_day::timestamp AT TIME ZONE 'UTC'
          AND d.window_start < (late_day + 1)::timestamp AT TIME ZONE 'UTC'
        RETURNING d.*;
END
$$;
COMMENT ON FUNCTION take_late_predictions IS 'Take the rows of a day out of the default partition of predictions';

REVOKE EXECUTE ON FUNCTION make_prediction_days, take_out_prediction_day, take_late_predictions, drop_prediction_day
    FROM PUBLIC;

-- The latest window of each watch that has an activity, of the last week of data. The recursion hops from watch to watch
-- along the primary key: two look-ups a watch and day, however many windows each has.
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
    changed  bigint;
    -- a window is 10 minutes long at the most (settings/models.py): only the partitions of these days are looked at
    earliest timestamptz := (SELECT min(s) FROM unnest(window_starts) AS s) - windows * interval '10 minutes';
    latest   timestamptz := (SELECT max(s) FROM unnest(window_starts) AS s) + windows * interval '10 minutes';
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
                  WHERE t.device_id = given.device_id AND t.window_start = given.window_start
                    AND t.window_start BETWEEN earliest AND latest)
              AND p.probabilities IS NOT NULL AND p.window_start BETWEEN earliest AND latest
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
                  AND p.probabilities IS NOT NULL AND p.window_start BETWEEN earliest AND latest
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
      AND p.window_start BETWEEN earliest AND latest
      AND (p.smoothed_activity, p.smoothed_confidence)
          IS DISTINCT FROM (filtered.activity, filtered.confidence);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$
-- keys are few and the table is large: look each one up; planned anew each time, for the partitions of those days only
SET plan_cache_mode = force_custom_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off;
COMMENT ON FUNCTION refresh_smoothed IS 'Recompute the smoothed activity of these windows and of those after them';

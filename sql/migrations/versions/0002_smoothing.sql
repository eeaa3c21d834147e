-- The smoothed activity: a forward filter over the stored probabilities of a watch's last windows, and of nothing
-- else, so that it can be computed again at any time, in any order, with the same result.

-- P(activity now | evidence so far), shape (labels,), by the forward algorithm of a hidden Markov model
-- (Rabiner 1989, Proc. IEEE 77, 257) that starts uniform and stays in its state with probability `stay`.
-- models/smoothing.py has the same in numpy.
-- evidence: (windows, labels), oldest first; age: how many windows ago each was, so descending. m steps without
-- evidence have a closed form: 1/K + r^m (alpha - 1/K), with r = stay - (1 - stay) / (K - 1).
CREATE FUNCTION forward_filter(evidence real[], age integer[], stay double precision)
RETURNS double precision[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    n      integer := array_length(evidence, 1);
    k      integer := array_length(evidence, 2);
    even   double precision := 1.0 / k;
    decay  double precision := CASE WHEN k > 1 THEN stay - (1 - stay) / (k - 1) ELSE 1 END;
    alpha  double precision[] := array_fill(even, ARRAY[k]);
    total  double precision := 1;
    level  double precision;
    fade   double precision;
BEGIN
    FOR i IN 1..n LOOP
        fade := CASE WHEN i = 1 THEN 1 ELSE decay ^ (age[i - 1] - age[i]) END;
        level := (1 - fade) * even * total;
        total := 0;
        FOR j IN 1..k LOOP
            -- no window rules a label out for good
            alpha[j] := greatest(evidence[i][j]::double precision, 1e-6) * (level + fade * alpha[j]);
            total := total + alpha[j];
        END LOOP;
        -- adding up to `total` instead of 1 saves a loop; it is mended before it gets too small for a double
        IF i = n OR total < 1e-100 THEN
            FOR j IN 1..k LOOP
                alpha[j] := alpha[j] / total;
            END LOOP;
            total := 1;
        END IF;
    END LOOP;
    IF age[n] > 0 THEN
        fade := decay ^ age[n];
        FOR j IN 1..k LOOP
            alpha[j] := (1 - fade) * even + fade * alpha[j];
        END LOOP;
    END IF;
    RETURN alpha;
END
$$;
COMMENT ON FUNCTION forward_filter IS 'Forward filter over windows of probabilities, oldest first';

-- Recompute the smoothed activity of the given windows and of those that look back at them; returns how many rows
-- changed. A window looks back at itself and at the windows - 1 before it, each its own length earlier, so also
-- where windows overlap the evidence does not. A window without probabilities is no evidence and is not smoothed;
-- nor is one evidence whose version has other labels.
CREATE FUNCTION refresh_smoothed(
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

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
    u      double precision[] := alpha;
    total  double precision;
    fade   double precision;
BEGIN
    FOR i IN 1..n LOOP
        fade := CASE WHEN i = 1 THEN 1 ELSE decay ^ (age[i - 1] - age[i]) END;
        total := 0;
        FOR j IN 1..k LOOP
            -- no window rules a label out for good
            u[j] := greatest(evidence[i][j]::double precision, 1e-6) * (even + fade * (alpha[j] - even));
            total := total + u[j];
        END LOOP;
        FOR j IN 1..k LOOP
            alpha[j] := u[j] / total;
        END LOOP;
    END LOOP;
    IF age[n] > 0 THEN
        FOR j IN 1..k LOOP
            alpha[j] := even + decay ^ age[n] * (alpha[j] - even);
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
    WITH touched AS MATERIALIZED (
        SELECT p.device_id, p.window_start, p.window_end - p.window_start AS length
        FROM unnest(device_ids, window_starts) AS given (device_id, window_start)
        JOIN predictions p USING (device_id, window_start)
    ), meaning AS MATERIALIZED (
        SELECT DISTINCT ON (version) version, labels FROM model_versions ORDER BY version, registered_at DESC
    ), keys AS MATERIALIZED (
        SELECT DISTINCT p.device_id, p.window_start, touched.length, meaning.labels
        FROM touched
        CROSS JOIN generate_series(0, windows - 1) AS later
        JOIN predictions p
            ON p.device_id = touched.device_id AND p.window_start = touched.window_start + later * touched.length
        JOIN meaning ON meaning.version = p.model_version
        WHERE p.probabilities IS NOT NULL AND cardinality(p.probabilities) = cardinality(meaning.labels)
    ), evidence AS (
        SELECT keys.device_id, keys.window_start, keys.labels,
               array_agg(p.probabilities ORDER BY earlier DESC) AS evidence,
               array_agg(earlier ORDER BY earlier DESC) AS age
        FROM keys
        CROSS JOIN generate_series(0, windows - 1) AS earlier
        JOIN predictions p
            ON p.device_id = keys.device_id AND p.window_start = keys.window_start - earlier * keys.length
        JOIN meaning ON meaning.version = p.model_version
        WHERE p.probabilities IS NOT NULL AND cardinality(p.probabilities) = cardinality(keys.labels)
          AND meaning.labels = keys.labels
        GROUP BY keys.device_id, keys.window_start, keys.labels
    ), filtered AS MATERIALIZED (
        SELECT device_id, window_start, labels[best.place] AS activity, best.alpha::real AS confidence
        FROM evidence
        CROSS JOIN LATERAL (
            SELECT place, alpha
            FROM unnest(forward_filter(evidence, age, stay)) WITH ORDINALITY AS states (alpha, place)
            ORDER BY alpha DESC, place LIMIT 1
        ) AS best
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
-- keys are few and the table is large: look each one up, whatever the planner believes of the arrays' sizes
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off;
COMMENT ON FUNCTION refresh_smoothed IS 'Recompute the smoothed activity of these windows and of those after them';

-- Bouts of the windows that start in [since, until). `smoothed_only`: without windows that are not smoothed yet, whose
-- activity is about to change. The body is that of bouts_since, which calls it now.
CREATE FUNCTION bouts_between(since timestamptz, until timestamptz, smoothed_only boolean)
RETURNS TABLE (
    device_id text, activity text, bout_start timestamptz, bout_end timestamptz, minutes double precision,
    windows bigint, mean_confidence double precision, kcal double precision
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH named AS (
        SELECT p.device_id, coalesce(p.smoothed_activity, p.activity) AS activity, p.window_start, p.window_end,
               coalesce(p.smoothed_confidence, p.confidence) AS confidence, p.kcal_per_min
        FROM predictions p
        WHERE p.activity IS NOT NULL AND p.window_start >= since AND p.window_start < until
          AND (NOT smoothed_only OR p.smoothed_activity IS NOT NULL)
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
COMMENT ON FUNCTION bouts_between IS 'Runs of one smoothed activity a watch, from the windows that start in a span';

CREATE OR REPLACE FUNCTION bouts_since(since timestamptz)
RETURNS TABLE (
    device_id text, activity text, bout_start timestamptz, bout_end timestamptz, minutes double precision,
    windows bigint, mean_confidence double precision, kcal double precision
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT * FROM bouts_between(since, 'infinity', false)
$$;

-- The outbox: one row for each event of a bout, written in the transaction that smoothed its windows. Rows are inserted
-- under one lock, so the order of `sequence` is that of the commits, and whoever sends them keeps one number.
CREATE TABLE activity_events (
    sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid             NOT NULL,
    bout_id     uuid             NOT NULL,
    revision    integer          NOT NULL,
    kind        text             NOT NULL CHECK (kind IN ('began', 'ended', 'corrected', 'withdrawn')),
    device_id   text             NOT NULL,
    participant text,
    activity    text             NOT NULL,
    bout_start  timestamptz      NOT NULL,
    bout_end    timestamptz,
    minutes     double precision,
    kcal        double precision,
    told_at     timestamptz      NOT NULL DEFAULT clock_timestamp(),
    in_force    boolean          NOT NULL
);
CREATE UNIQUE INDEX activity_events_revision ON activity_events (device_id, bout_start, revision);
CREATE INDEX activity_events_in_force ON activity_events (device_id, bout_start) WHERE in_force;
CREATE INDEX activity_events_told_at ON activity_events (told_at);
COMMENT ON TABLE activity_events IS 'What was told of each bout: began, ended, corrected, withdrawn; an outbox';
COMMENT ON COLUMN activity_events.event_id IS 'A hash of the content: the same event has the same id, however often it is told';
COMMENT ON COLUMN activity_events.participant IS 'Who wore the watch when the bout began; null where that is not known';
COMMENT ON COLUMN activity_events.bout_end IS 'Null while the bout goes on';
COMMENT ON COLUMN activity_events.in_force IS 'Whether it is the newest event of a bout that was not withdrawn';

-- Compare the stored bouts of these watches with what was told of them, and tell the difference; returns how many
-- events. firsts, lasts: the earliest and the latest window of each that was written or smoothed anew; windows: how many
-- a smoothed activity looks back at.
--
-- A window counts once a later window of its watch is stored, until when it may still get readings. `finished`: nothing
-- more is to come from these watches, so that their newest windows count and their bouts have ended.
-- A bout that was under way before anything was told of its watch is not told.
CREATE FUNCTION tell_bouts(
    device_ids text[], firsts timestamptz[], lasts timestamptz[], windows integer, finished boolean
)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    watch      record;
    since      timestamptz;
    until      timestamptz;
    bound      timestamptz;
    fresh      boolean;
    closed     boolean;
    told_count bigint := 0;
    added      bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7204110004);
    FOR watch IN
        SELECT given.device_id, given.first, newest.window_start AS newest, newest.window_end AS newest_end,
               before.bout_start,
               given.last + (windows - 1) * (newest.window_end - newest.window_start) AS last
        FROM unnest(device_ids, firsts, lasts) AS given (device_id, first, last)
        CROSS JOIN LATERAL (
            SELECT p.window_start, p.window_end FROM predictions p
            WHERE p.device_id = given.device_id AND p.window_start >= given.first
            ORDER BY p.window_start DESC LIMIT 1
        ) AS newest
        LEFT JOIN LATERAL (
            SELECT e.bout_start, e.bout_end, e.activity FROM activity_events e
            WHERE e.device_id = given.device_id AND e.bout_start < given.first AND e.in_force
            ORDER BY e.bout_start DESC LIMIT 1
        ) AS before ON true
        -- the two windows before: the last one counts now, and the one before it counted already
        LEFT JOIN LATERAL (
            SELECT p.window_start FROM predictions p
            WHERE p.device_id = given.device_id AND p.window_start < given.first
              AND p.window_start >= before.bout_start AND p.smoothed_activity IS NOT NULL
            ORDER BY p.window_start DESC OFFSET 1 LIMIT 1
        ) AS earlier ON true
        CROSS JOIN LATERAL (SELECT coalesce(earlier.window_start, before.bout_start) AS since OFFSET 0) AS near
        LEFT JOIN LATERAL (
            SELECT min(b.activity) AS activity, max(b.bout_end) AS bout_end, count(*) AS bouts
            FROM bouts_between(near.since, newest.window_start, true) b
            WHERE b.device_id = given.device_id
        ) AS now ON true
        -- most calls end here: the bout that was told goes on
        WHERE finished OR NOT coalesce(
            before.bout_end IS NULL AND now.bouts = 1 AND now.activity = before.activity
            AND newest.window_start <= now.bout_end + interval '1 minute', false
        ) OR EXISTS (
            SELECT FROM activity_events e
            WHERE e.device_id = given.device_id AND e.bout_start >= given.first AND e.in_force
        )
    LOOP
        fresh := false;
        since := watch.bout_start;
        IF since IS NULL THEN
            SELECT p.window_start INTO since FROM predictions p
            WHERE p.device_id = watch.device_id AND p.window_start < watch.first
              AND p.smoothed_activity IS NOT NULL
            ORDER BY p.window_start DESC OFFSET 1 LIMIT 1;
            -- where it began is not known
            fresh := since IS NOT NULL;
        END IF;
        IF since IS NULL THEN
            SELECT min(p.window_start) INTO since FROM predictions p
            WHERE p.device_id = watch.device_id AND p.window_start <= watch.first;
        END IF;
        closed := finished OR EXISTS (
            SELECT FROM activity_events e
            WHERE e.device_id = watch.device_id AND e.in_force AND e.bout_start >= since
              AND e.bout_end >= watch.newest_end
        );
        until := CASE WHEN closed THEN timestamptz 'infinity' ELSE watch.newest END;
        -- the second bout after everything that changed begins as it did before
        SELECT e.bout_start INTO bound FROM activity_events e
        WHERE e.device_id = watch.device_id AND e.in_force AND e.bout_start > watch.last
        ORDER BY e.bout_start OFFSET 1 LIMIT 1;
        IF bound < until THEN
            until := bound;
            closed := true;
        END IF;

        WITH stored AS MATERIALIZED (
            SELECT b.bout_start, b.activity,
                   CASE WHEN b.ended THEN b.bout_end END AS bout_end,
                   CASE WHEN b.ended THEN round(b.minutes::numeric, 4)::double precision END AS minutes,
                   CASE WHEN b.ended THEN round(b.kcal::numeric, 3)::double precision END AS kcal
            FROM (
                SELECT found.*,
                       closed OR lead(found.bout_start) OVER (ORDER BY found.bout_start) IS NOT NULL
                       OR watch.newest > found.bout_end + interval '1 minute' AS ended
                FROM bouts_between(since, until, true) AS found
                WHERE found.device_id = watch.device_id
            ) AS b
            WHERE NOT fresh OR b.bout_start > since
        ), told AS MATERIALIZED (
            SELECT e.* FROM activity_events e
            WHERE e.device_id = watch.device_id AND e.in_force AND e.bout_start >= since AND e.bout_start < until
        ), changed AS MATERIALIZED (
            SELECT coalesce(stored.bout_start, told.bout_start) AS bout_start,
                   coalesce(stored.activity, told.activity) AS activity,
                   stored.bout_end, stored.minutes, stored.kcal,
                   CASE
                       WHEN stored.bout_start IS NULL THEN ARRAY['withdrawn']
                       WHEN told.bout_start IS NULL AND stored.bout_end IS NULL THEN ARRAY['began']
                       WHEN told.bout_start IS NULL THEN ARRAY['began', 'ended']
                       WHEN told.bout_end IS NULL AND stored.bout_end IS NOT NULL
                            AND told.activity = stored.activity THEN ARRAY['ended']
                       ELSE ARRAY['corrected']
                   END AS kinds
            FROM stored FULL JOIN told ON told.bout_start = stored.bout_start
            WHERE (told.bout_start, told.activity, told.bout_end, told.minutes, told.kcal)
                  IS DISTINCT FROM (stored.bout_start, stored.activity, stored.bout_end, stored.minutes, stored.kcal)
        ), numbered AS (
            SELECT changed.bout_start, changed.activity, step.kind,
                   CASE WHEN step.kind <> 'began' THEN changed.bout_end END AS bout_end,
                   CASE WHEN step.kind <> 'began' THEN changed.minutes END AS minutes,
                   CASE WHEN step.kind <> 'began' THEN changed.kcal END AS kcal,
                   step.place = cardinality(changed.kinds) AND step.kind <> 'withdrawn' AS in_force,
                   step.place::integer + coalesce((
                       SELECT max(e.revision) FROM activity_events e
                       WHERE e.device_id = watch.device_id AND e.bout_start = changed.bout_start), -1) AS revision
            FROM changed CROSS JOIN LATERAL unnest(changed.kinds) WITH ORDINALITY AS step (kind, place)
        ), replaced AS (
            UPDATE activity_events e SET in_force = false
            FROM changed
            WHERE e.device_id = watch.device_id AND e.bout_start = changed.bout_start AND e.in_force
        )
        INSERT INTO activity_events
            (event_id, bout_id, revision, kind, device_id, participant, activity, bout_start, bout_end, minutes, kcal,
             in_force)
        SELECT md5(concat_ws(E'\n', watch.device_id, extract(epoch FROM n.bout_start), n.revision, n.kind, n.activity,
                             extract(epoch FROM n.bout_end), n.minutes, n.kcal))::uuid,
               md5(concat_ws(E'\n', watch.device_id, extract(epoch FROM n.bout_start)))::uuid,
               n.revision, n.kind, watch.device_id, wearer.participant, n.activity, n.bout_start, n.bout_end,
               n.minutes, n.kcal, n.in_force
        FROM numbered n
        LEFT JOIN participant_devices wearer
            ON wearer.device_id = watch.device_id AND wearer.worn_from <= n.bout_start
           AND (wearer.worn_to IS NULL OR wearer.worn_to > n.bout_start)
        ORDER BY n.bout_start, n.revision;
        GET DIAGNOSTICS added = ROW_COUNT;
        told_count := told_count + added;
    END LOOP;
    RETURN told_count;
END
$$
-- watches are few and the tables are large: look each one up, and plan once
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan;
COMMENT ON FUNCTION tell_bouts IS 'Write the events by which the stored bouts of these watches differ from those told';

-- Watches whose bouts can have no more windows by the stream, with their newest window, where that was not told yet.
-- A watch is silent once the others are `patience` ahead of its newest window (the watermark passed it), or, with
-- `by_clock`, once the store has had nothing of it for so long. The recursion hops from watch to watch.
CREATE FUNCTION silent_watches(patience interval, by_clock boolean)
RETURNS TABLE (device_id text, window_start timestamptz) LANGUAGE sql STABLE AS $$
    WITH RECURSIVE watches (device_id) AS (
        (SELECT p.device_id FROM predictions p ORDER BY p.device_id LIMIT 1)
        UNION ALL
        SELECT (SELECT p.device_id FROM predictions p WHERE p.device_id > watches.device_id
                ORDER BY p.device_id LIMIT 1)
        FROM watches WHERE watches.device_id IS NOT NULL
    ), newest AS MATERIALIZED (
        SELECT watches.device_id, latest.*
        FROM watches
        CROSS JOIN LATERAL (
            SELECT p.window_start, p.window_end, p.processed_at FROM predictions p
            WHERE p.device_id = watches.device_id ORDER BY p.window_start DESC LIMIT 1
        ) AS latest
        WHERE watches.device_id IS NOT NULL AND latest.processed_at > clock_timestamp() - interval '2 days'
    )
    SELECT newest.device_id, newest.window_start
    FROM newest
    CROSS JOIN LATERAL (
        SELECT p.window_end FROM predictions p
        WHERE p.device_id = newest.device_id AND p.smoothed_activity IS NOT NULL
        ORDER BY p.window_start DESC LIMIT 1
    ) AS named
    WHERE (newest.window_end + patience < (SELECT max(all_of.window_end) FROM newest all_of)
           AND newest.processed_at < clock_timestamp() - interval '1 minute'
           OR by_clock AND newest.processed_at < clock_timestamp() - patience)
      AND NOT EXISTS (
          SELECT FROM activity_events e
          WHERE e.device_id = newest.device_id AND e.in_force AND e.bout_end >= named.window_end
      )
$$;
COMMENT ON FUNCTION silent_watches IS 'Watches from which no more windows come by the stream, whose last bout was not told';

-- How far each sender has come.
CREATE TABLE event_senders (
    name     text PRIMARY KEY,
    sequence bigint      NOT NULL,
    sent_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE event_senders IS 'The last activity event that each topic has got';

-- Addresses that get activity events by HTTP. `sequence` is the last event that was delivered, or passed over.
CREATE TABLE webhooks (
    webhook_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url           text        NOT NULL,
    events        text[]      NOT NULL,
    added_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    added_by      text        NOT NULL,
    sequence      bigint      NOT NULL,
    delivered     bigint      NOT NULL DEFAULT 0,
    delivered_at  timestamptz,
    attempts      integer     NOT NULL DEFAULT 0,
    failing_since timestamptz,
    next_try_at   timestamptz,
    error         text,
    dead_at       timestamptz
);
COMMENT ON TABLE webhooks IS 'Addresses that get activity events by HTTP, and how far each has come';
COMMENT ON COLUMN webhooks.attempts IS 'Failed attempts since the last delivery';
COMMENT ON COLUMN webhooks.dead_at IS 'When nothing more was tried, a day after the first failure';

-- Apart from the webhooks, so that who may read those cannot sign in their name.
CREATE TABLE webhook_secrets (
    webhook_id bigint PRIMARY KEY REFERENCES webhooks ON DELETE CASCADE,
    secret     text NOT NULL
);
COMMENT ON TABLE webhook_secrets IS 'What signs the requests of each webhook';

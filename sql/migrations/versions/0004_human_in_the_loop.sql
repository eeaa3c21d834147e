-- The human in the loop: what waits to be labelled, who labels, what they said, what was made of it.

CREATE TABLE users (
    name          text PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,39}$'),
    role          text        NOT NULL CHECK (role IN ('annotator', 'admin')),
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at   timestamptz,
    -- sessions begun before it are over: a new password or role ends them
    sessions_from timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE users IS 'Who may sign in to the console; passwords as argon2 hashes';

CREATE TABLE ingest_tokens (
    token_hash   bytea PRIMARY KEY,
    name         text        NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz,
    revoked_at   timestamptz
);
COMMENT ON TABLE ingest_tokens IS 'Tokens that may send readings by HTTP; SHA-256 of each, never the token';

CREATE TABLE queue_items (
    item_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id        text             NOT NULL,
    window_start     timestamptz      NOT NULL,
    window_end       timestamptz      NOT NULL,
    stratum          text             NOT NULL CHECK (stratum IN ('audit', 'cold', 'doubt')),
    reason           text             NOT NULL,
    doubt            real,
    doubts           jsonb            NOT NULL DEFAULT '{}',
    propensity       double precision NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    decision         jsonb            NOT NULL DEFAULT '{}',
    wanted           smallint         NOT NULL DEFAULT 1 CHECK (wanted BETWEEN 1 AND 5),
    readings         bytea            NOT NULL,
    features         real[]           NOT NULL,
    features_version text             NOT NULL,
    activity         text             NOT NULL,
    probabilities    real[]           NOT NULL,
    conformal_set    text[]           NOT NULL,
    kcal_per_min     real,
    model_version    text             NOT NULL,
    energy_version   text,
    queued_at        timestamptz      NOT NULL DEFAULT clock_timestamp(),
    expires_at       timestamptz      NOT NULL,
    closed_at        timestamptz,
    closed_because   text CHECK (closed_because IN ('answered', 'expired', 'withdrawn')),
    UNIQUE (device_id, window_start),
    CHECK ((closed_at IS NULL) = (closed_because IS NULL))
);
CREATE INDEX queue_items_open ON queue_items (queued_at) WHERE closed_at IS NULL;
CREATE INDEX queue_items_queued_at ON queue_items (queued_at);
COMMENT ON TABLE queue_items IS 'Windows worth a person''s minute, with all that is needed to label and to learn';
COMMENT ON COLUMN queue_items.stratum IS
    'audit: drawn at random, judges models; cold: spread, while labels are few; doubt: chosen for its doubt';
COMMENT ON COLUMN queue_items.reason IS 'The measure that chose it (learning/doubt)';
COMMENT ON COLUMN queue_items.propensity IS 'How likely a window like this was to be chosen; exact for the audit';
COMMENT ON COLUMN queue_items.decision IS 'Everything the policy looked at, for `activity queue explain`';
COMMENT ON COLUMN queue_items.wanted IS 'How many annotators are to see it; more than one: blind overlap';
COMMENT ON COLUMN queue_items.readings IS 'Packed readings of the window (windows/packing), duplicates removed';
COMMENT ON COLUMN queue_items.features IS 'In the order of FEATURE_NAMES of features_version';

CREATE TABLE leases (
    item_id    bigint      NOT NULL REFERENCES queue_items ON DELETE CASCADE,
    annotator  text        NOT NULL,
    leased_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (item_id, annotator)
);
CREATE INDEX leases_annotator ON leases (annotator);
COMMENT ON TABLE leases IS 'Who holds which item, and until when; a lease that is over counts for nothing';

CREATE TABLE annotations (
    annotation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id       bigint REFERENCES queue_items ON DELETE SET NULL,
    device_id     text        NOT NULL,
    window_start  timestamptz NOT NULL,
    window_end    timestamptz NOT NULL,
    annotator     text        NOT NULL,
    answer        text        NOT NULL CHECK (answer IN ('label', 'skip', 'unsure', 'flag', 'undo')),
    label         text,
    undoes        bigint REFERENCES annotations,
    adjudicates   boolean     NOT NULL DEFAULT false,
    origin        text        NOT NULL CHECK (origin IN ('console', 'bulk', 'import', 'oracle', 'review')),
    seconds       real CHECK (seconds >= 0),
    model_version text,
    suggested     text,
    model_hidden  boolean,
    note          text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((answer = 'label') = (label IS NOT NULL)),
    CHECK ((answer = 'undo') = (undoes IS NOT NULL)),
    CHECK (window_end > window_start)
);
CREATE UNIQUE INDEX annotations_undone_once ON annotations (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX annotations_window ON annotations (device_id, window_start);
CREATE INDEX annotations_item ON annotations (item_id);
CREATE INDEX annotations_annotator ON annotations (annotator, created_at DESC);
CREATE INDEX annotations_created_at ON annotations (created_at);
COMMENT ON TABLE annotations IS 'What people said, in the order they said it; rows are only ever added';
COMMENT ON COLUMN annotations.seconds IS 'From the item''s appearance to the answer';
COMMENT ON COLUMN annotations.suggested IS 'The activity the model gave, whether or not it was shown';
COMMENT ON COLUMN annotations.adjudicates IS 'Decides over the others: a reviewer''s word';

-- Append-only is a promise of the store, not of the programs that write to it.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- the one change that may be: the item behind an annotation was pruned
    IF TG_OP = 'UPDATE' AND NEW.item_id IS NULL
       AND to_jsonb(NEW) - 'item_id' = to_jsonb(OLD) - 'item_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'annotations are only ever added; undo one by a row that undoes it';
END
$$;
CREATE TRIGGER annotations_append_only BEFORE UPDATE OR DELETE ON annotations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What each person says of a window now: their last answer that was not undone.
CREATE VIEW annotations_in_force AS
SELECT DISTINCT ON (a.device_id, a.window_start, a.annotator, a.adjudicates) a.*
FROM annotations a
WHERE a.answer <> 'undo' AND NOT EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id)
ORDER BY a.device_id, a.window_start, a.annotator, a.adjudicates, a.annotation_id DESC;
COMMENT ON VIEW annotations_in_force IS 'Each annotator''s last answer about a window that was not undone';

-- One row a labelled window. A reviewer's word decides; else the label of the most, if no other has as many; else
-- the window is disputed and has none.
CREATE VIEW gold_labels AS
WITH votes AS (
    SELECT device_id, window_start, max(window_end) AS window_end, label, count(*) AS voices,
           max(annotation_id) AS newest, max(created_at) AS labelled_at
    FROM annotations_in_force
    WHERE answer = 'label' AND NOT adjudicates
    GROUP BY device_id, window_start, label
), counted AS (
    SELECT votes.*, rank() OVER most AS place,
           sum(voices) OVER (PARTITION BY device_id, window_start) AS annotators,
           count(*) OVER (PARTITION BY device_id, window_start, voices) AS as_many
    FROM votes WINDOW most AS (PARTITION BY device_id, window_start ORDER BY voices DESC)
), settled AS (
    SELECT DISTINCT ON (device_id, window_start) device_id, window_start, window_end, label,
           annotation_id AS newest, created_at AS labelled_at
    FROM annotations_in_force
    WHERE adjudicates AND answer = 'label'
    ORDER BY device_id, window_start, annotation_id DESC
), windows AS (
    SELECT device_id, window_start FROM counted UNION SELECT device_id, window_start FROM settled
)
SELECT w.device_id, w.window_start, coalesce(s.window_end, c.window_end) AS window_end,
       coalesce(s.label, CASE WHEN c.as_many = 1 THEN c.label END) AS label,
       coalesce(c.annotators, 0)::integer AS annotators,
       s.label IS NOT NULL AS adjudicated,
       s.label IS NULL AND c.as_many > 1 AS disputed,
       greatest(s.labelled_at, c.labelled_at) AS labelled_at
FROM windows w
LEFT JOIN settled s USING (device_id, window_start)
LEFT JOIN LATERAL (
    SELECT * FROM counted c
    WHERE c.device_id = w.device_id AND c.window_start = w.window_start AND c.place = 1
    ORDER BY c.newest DESC LIMIT 1
) AS c ON true;
COMMENT ON VIEW gold_labels IS 'The label of each window that people labelled: adjudicated, agreed, or disputed';

CREATE TABLE snapshots (
    snapshot_id text PRIMARY KEY,
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    base        text        NOT NULL,
    windows     integer     NOT NULL,
    labels      integer     NOT NULL,
    people      integer     NOT NULL,
    place       text        NOT NULL,
    detail      jsonb       NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE snapshots IS 'Training sets as they were learnt from; snapshot_id: SHA-256 of the content';

CREATE TABLE retrain_runs (
    run_id      text PRIMARY KEY,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    started_by  text        NOT NULL,
    why         text        NOT NULL,
    parameters  jsonb       NOT NULL DEFAULT '{}',
    step        text        NOT NULL DEFAULT 'check',
    state       text        NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'waiting', 'promoted', 'rejected', 'unneeded', 'failed')),
    progress    real        NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    says        text,
    snapshot_id text REFERENCES snapshots,
    challenger  text
);
CREATE INDEX retrain_runs_started_at ON retrain_runs (started_at DESC);
COMMENT ON TABLE retrain_runs IS 'Each retraining: who began it, why, how far it is, how it ended';

CREATE TABLE promotions (
    promotion_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    name         text        NOT NULL,
    version      text        NOT NULL,
    before       text,
    act          text        NOT NULL CHECK (act IN ('promoted', 'rejected', 'rolled back', 'promoted by hand')),
    by_whom      text        NOT NULL,
    why          text        NOT NULL,
    run_id       text REFERENCES retrain_runs,
    verdict      jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX promotions_at ON promotions (at DESC);
COMMENT ON TABLE promotions IS 'Which version was let in or turned away, by whom and why, with every figure';

-- What the windows of a minute looked like, for the watch on drift. One row a task and batch, so that a replayed
-- batch writes the same row again; older rows of a minute are merged into one (batch_id -1).
CREATE TABLE feature_minutes (
    minute         timestamptz NOT NULL,
    model_version  text        NOT NULL,
    query_id       text        NOT NULL,
    batch_id       bigint      NOT NULL,
    part           integer     NOT NULL,
    windows        integer     NOT NULL,
    counts         integer[]   NOT NULL,
    sums           double precision[] NOT NULL,
    squares        double precision[] NOT NULL,
    histogram      integer[]   NOT NULL,
    activities     integer[]   NOT NULL,
    confidence_sum double precision NOT NULL,
    confidences    integer[]   NOT NULL,
    PRIMARY KEY (minute, model_version, query_id, batch_id, part)
);
COMMENT ON TABLE feature_minutes IS 'Moments and histograms of every feature by minute and model version';
COMMENT ON COLUMN feature_minutes.counts IS 'Windows in which the feature was there, one a feature';
COMMENT ON COLUMN feature_minutes.sums IS 'Of the feature, standardised by the baseline of the version';
COMMENT ON COLUMN feature_minutes.histogram IS 'features x bins, row by row; the bins are those of the baseline';
COMMENT ON COLUMN feature_minutes.activities IS 'Windows of each label, in the order of the version''s labels';
COMMENT ON COLUMN feature_minutes.confidences IS 'Windows by tenth of confidence';

CREATE TABLE drift_alarms (
    alarm_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    measure       text        NOT NULL,
    subject       text        NOT NULL,
    model_version text        NOT NULL,
    value         double precision NOT NULL,
    bar           double precision NOT NULL,
    since         timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    over_at       timestamptz
);
CREATE UNIQUE INDEX drift_alarms_open ON drift_alarms (measure, subject, model_version) WHERE over_at IS NULL;
COMMENT ON TABLE drift_alarms IS 'What has drifted, how far, since when; over_at: when it came back';

-- What the queue may still give out, and by which rates the audit share was drawn: written in the transaction that
-- queues the items, so that neither a crash nor a replay gives anything out twice.
CREATE TABLE queue_budget (
    "only"      boolean PRIMARY KEY DEFAULT true CHECK ("only"),
    salt        text             NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    audit       double precision NOT NULL CHECK (audit >= 0),
    chosen      double precision NOT NULL CHECK (chosen >= 0),
    as_of       timestamptz      NOT NULL,
    audit_drawn bigint           NOT NULL DEFAULT 0,
    audit_lost  bigint           NOT NULL DEFAULT 0
);
COMMENT ON TABLE queue_budget IS 'One row: the token buckets of the queue as of the last item';
COMMENT ON COLUMN queue_budget.salt IS 'Of the draws of this installation; a new one would draw another audit share';
COMMENT ON COLUMN queue_budget.audit_lost IS 'Windows drawn for the audit while its bucket was empty';

CREATE TABLE audit_periods (
    from_at          timestamptz PRIMARY KEY,
    until_at         timestamptz      NOT NULL,
    rate             double precision NOT NULL CHECK (rate > 0 AND rate <= 1),
    windows_per_hour double precision NOT NULL,
    why              text             NOT NULL,
    CHECK (until_at > from_at)
);
COMMENT ON TABLE audit_periods IS 'The rate at which the audit share is drawn, which is its propensity, by time';

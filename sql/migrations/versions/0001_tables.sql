-- The tables. Times are timestamptz; every connection of the project speaks UTC.

CREATE TABLE predictions (
    device_id           text        NOT NULL,
    window_start        timestamptz NOT NULL,
    window_end          timestamptz NOT NULL,
    activity            text,
    confidence          real,
    smoothed_activity   text,
    smoothed_confidence real,
    probabilities       real[],
    conformal_set       text[],
    kcal_per_min        real,
    coverage            real        NOT NULL,
    readings_used       integer     NOT NULL,
    duplicates          integer     NOT NULL DEFAULT 0,
    reason              text,
    model_version       text,
    energy_version      text,
    last_reading_at     timestamptz,
    received_at         timestamptz,
    processed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    batch_id            bigint,
    PRIMARY KEY (device_id, window_start),
    CHECK (window_end > window_start),
    CHECK (readings_used >= 0 AND duplicates >= 0),
    CHECK (coverage >= 0 AND coverage <= 1.0001),
    CONSTRAINT activity_or_reason CHECK ((activity IS NULL) = (reason IS NOT NULL)),
    CONSTRAINT activity_has_probabilities CHECK (
        activity IS NULL OR (probabilities IS NOT NULL AND model_version IS NOT NULL)
    )
)
-- room in each page: smoothing then changes a row where it is and touches no index
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

CREATE INDEX predictions_window_start ON predictions (window_start);
-- also finds the rows of a batch: they were written since it began
CREATE INDEX predictions_processed_at ON predictions (processed_at);

COMMENT ON TABLE predictions IS 'One row a watch and window; a row is only ever replaced by one of more readings';
COMMENT ON COLUMN predictions.activity IS 'Most probable activity of this window alone; null where reason says why';
COMMENT ON COLUMN predictions.confidence IS 'Probability of activity';
COMMENT ON COLUMN predictions.smoothed_activity IS 'Most probable activity given the watch''s last windows too';
COMMENT ON COLUMN predictions.probabilities IS 'One a label, in the order of model_versions.labels';
COMMENT ON COLUMN predictions.conformal_set IS 'Labels that hold the true one as often as was promised';
COMMENT ON COLUMN predictions.coverage IS 'Share of the window''s slots that have a reading';
COMMENT ON COLUMN predictions.duplicates IS 'Readings that came more than once; counted, used once';
COMMENT ON COLUMN predictions.last_reading_at IS 'Stamp of the newest reading, by the watch''s clock';
COMMENT ON COLUMN predictions.received_at IS 'When the newest reading reached Kafka';
COMMENT ON COLUMN predictions.processed_at IS 'When this row was written';

CREATE TABLE model_versions (
    name            text        NOT NULL,
    version         text        NOT NULL,
    labels          text[]      NOT NULL,
    feature_version text,
    registered_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version)
);
CREATE INDEX model_versions_version ON model_versions (version, registered_at DESC);
COMMENT ON TABLE model_versions IS 'What the probabilities of a version mean: its labels, in their order';

CREATE TABLE people (
    device_id              text PRIMARY KEY,
    age_years              real CHECK (age_years BETWEEN 0 AND 130),
    sex                    text CHECK (sex IN ('female', 'male')),
    height_cm              real CHECK (height_cm BETWEEN 30 AND 280),
    weight_kg              real CHECK (weight_kg BETWEEN 2 AND 700),
    resting_heart_rate_bpm real CHECK (resting_heart_rate_bpm BETWEEN 15 AND 220),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX people_updated_at ON people (updated_at);
COMMENT ON TABLE people IS 'Who wears a watch, as far as it is known; used by the energy model';

CREATE TABLE batches (
    query_id       text        NOT NULL,
    batch_id       bigint      NOT NULL,
    topic          text        NOT NULL,
    offsets        jsonb       NOT NULL,
    model_version  text,
    energy_version text,
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    messages       bigint,
    windows        bigint,
    dropped_late   bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (query_id, batch_id)
);
CREATE INDEX batches_topic_started ON batches (topic, started_at DESC);
CREATE INDEX batches_batch_id ON batches (batch_id, started_at DESC);
COMMENT ON TABLE batches IS 'The store''s own record of each batch of the stream';
COMMENT ON COLUMN batches.offsets IS '{partition: [from, until]}; until is the first offset that was not read';
COMMENT ON COLUMN batches.dropped_late IS 'Panes older than the watermark; `activity backfill` scores them';

CREATE TABLE dead_letters (
    topic           text        NOT NULL,
    kafka_partition integer     NOT NULL,
    kafka_offset    bigint      NOT NULL,
    item            integer     NOT NULL,
    device_id       text,
    reason          text        NOT NULL,
    detail          text,
    payload         bytea,
    kafka_at        timestamptz,
    noticed_at      timestamptz NOT NULL DEFAULT now(),
    replayed_at     timestamptz,
    PRIMARY KEY (topic, kafka_partition, kafka_offset, item)
);
CREATE INDEX dead_letters_noticed_at ON dead_letters (noticed_at);
CREATE INDEX dead_letters_reason ON dead_letters (reason, noticed_at);
COMMENT ON TABLE dead_letters IS 'Messages and readings that could not be used, by their place in the topic';
COMMENT ON COLUMN dead_letters.item IS 'Place in an array of readings; -1: the whole message';
COMMENT ON COLUMN dead_letters.payload IS 'The message''s first 64 KiB, as it came';

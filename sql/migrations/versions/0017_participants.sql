-- A person above the watch. Names are nowhere: a participant is a pseudonym.
CREATE TABLE studies (
    study      text        PRIMARY KEY CHECK (study <> ''),
    title      text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE studies IS 'Studies that participants take part in';

CREATE TABLE participants (
    participant            text        PRIMARY KEY CHECK (participant <> ''),
    age_years              real CHECK (age_years BETWEEN 0 AND 130),
    sex                    text CHECK (sex IN ('female', 'male')),
    height_cm              real CHECK (height_cm BETWEEN 30 AND 280),
    weight_kg              real CHECK (weight_kg BETWEEN 2 AND 700),
    resting_heart_rate_bpm real CHECK (resting_heart_rate_bpm BETWEEN 15 AND 220),
    zone                   text        NOT NULL DEFAULT 'UTC',
    study                  text REFERENCES studies,
    consented_on           date,
    withdrawn_at           timestamptz,
    created_at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at             timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX participants_withdrawn ON participants (participant) WHERE withdrawn_at IS NOT NULL;
COMMENT ON TABLE participants IS 'People by pseudonym, as far as known; body data are input of the energy model';
COMMENT ON COLUMN participants.zone IS 'IANA time zone in which the days of the person begin and end';
COMMENT ON COLUMN participants.withdrawn_at IS 'From then on nothing new of the person is scored, queued or archived';

-- A range of texts has a GiST operator class in every PostgreSQL; equality of a text needs an extension for it.
CREATE TYPE device_range AS RANGE (subtype = text, collation = "C");
CREATE TABLE participant_devices (
    participant text        NOT NULL REFERENCES participants ON UPDATE CASCADE,
    device_id   text        NOT NULL,
    worn_from   timestamptz NOT NULL,
    worn_to     timestamptz,
    CHECK (worn_to > worn_from),
    CONSTRAINT one_wearer_at_a_time EXCLUDE USING gist (
        device_range(device_id, device_id, '[]') WITH &&, tstzrange(worn_from, worn_to) WITH &&)
);
CREATE INDEX participant_devices_device ON participant_devices (device_id, worn_from);
CREATE INDEX participant_devices_participant ON participant_devices (participant);
COMMENT ON TABLE participant_devices IS 'Who wore which watch, [worn_from, worn_to); a watch has one wearer at a time';
COMMENT ON COLUMN participant_devices.worn_from IS '-infinity: from its first reading on';
COMMENT ON COLUMN participant_devices.worn_to IS 'null: still worn';

INSERT INTO participants (participant, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm, created_at, updated_at)
SELECT device_id, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm, updated_at, updated_at FROM people;
INSERT INTO participant_devices (participant, device_id, worn_from) SELECT device_id, device_id, '-infinity' FROM people;
DROP TABLE people;

CREATE VIEW people AS
SELECT w.device_id, p.age_years, p.sex, p.height_cm, p.weight_kg, p.resting_heart_rate_bpm, p.updated_at
FROM participant_devices w JOIN participants p USING (participant)
WHERE w.worn_from <= now() AND (w.worn_to IS NULL OR w.worn_to > now());
COMMENT ON VIEW people IS 'Who wears each watch now, as far as known';

CREATE FUNCTION person_of(device text, moment timestamptz) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(
        (SELECT w.participant FROM participant_devices w
         WHERE w.device_id = $1 AND w.worn_from <= $2 AND (w.worn_to IS NULL OR w.worn_to > $2)), $1)
$$;
COMMENT ON FUNCTION person_of IS 'The participant who wore a watch at a time; the watch itself where none is known';

-- What an erased person wore stays excluded: Kafka may still hold messages of theirs. No id is kept.
CREATE TABLE erased_periods (
    salt          bytea       NOT NULL,
    device_sha256 bytea       NOT NULL,
    worn_from     timestamptz NOT NULL,
    worn_to       timestamptz,
    erased_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX erased_periods_device ON erased_periods (device_sha256);
COMMENT ON TABLE erased_periods IS 'When erased people wore which watches; nothing of those times is taken any more';
COMMENT ON COLUMN erased_periods.device_sha256 IS 'SHA-256 of salt and device id';

CREATE VIEW excluded_periods AS
SELECT w.device_id, NULL::bytea AS salt, NULL::bytea AS device_sha256, w.worn_from, w.worn_to
FROM participants p JOIN participant_devices w USING (participant) WHERE p.withdrawn_at IS NOT NULL
UNION ALL
SELECT NULL, salt, device_sha256, worn_from, worn_to FROM erased_periods;
COMMENT ON VIEW excluded_periods IS 'Times of watches of which nothing new is scored, queued or archived';

-- For roles that may not delete: a batch that was going on while a person withdrew may have written rows of them since.
CREATE FUNCTION take_back_withdrawn(who text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    since   timestamptz := (SELECT withdrawn_at FROM participants WHERE participant = who);
    removed bigint := 0;
    gone    bigint;
BEGIN
    DELETE FROM predictions p USING participant_devices w
    WHERE w.participant = who AND p.device_id = w.device_id AND p.processed_at >= since
      AND p.window_end > w.worn_from AND (w.worn_to IS NULL OR p.window_start < w.worn_to);
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM queue_items q USING participant_devices w
    WHERE w.participant = who AND q.device_id = w.device_id AND q.queued_at >= since
      AND q.window_end > w.worn_from AND (w.worn_to IS NULL OR q.window_start < w.worn_to);
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM dead_letters d USING participant_devices w
    WHERE w.participant = who AND d.device_id = w.device_id AND d.noticed_at >= since
      AND d.kafka_at >= w.worn_from AND (w.worn_to IS NULL OR d.kafka_at < w.worn_to);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN removed + gone;
END
$$;
COMMENT ON FUNCTION take_back_withdrawn IS 'Delete what was written of a person since they withdrew; how many rows';
REVOKE EXECUTE ON FUNCTION take_back_withdrawn FROM PUBLIC;

CREATE TABLE erasures (
    erasure_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    participant text UNIQUE,
    begun_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    begun_by    text        NOT NULL,
    removed     jsonb       NOT NULL DEFAULT '{}',
    models      jsonb       NOT NULL DEFAULT '[]',
    CHECK ((participant IS NULL) = (finished_at IS NOT NULL))
);
COMMENT ON TABLE erasures IS 'What was removed when people were erased';
COMMENT ON COLUMN erasures.participant IS 'Only while it goes on, so that it can be resumed';

ALTER TABLE snapshots ADD COLUMN changed_by bigint REFERENCES erasures;
COMMENT ON COLUMN snapshots.changed_by IS 'An erasure removed windows: models trained on it cannot be reproduced';

CREATE TABLE model_exports (
    name          text             NOT NULL,
    version       text             NOT NULL,
    format        text             NOT NULL,
    sha256        text             NOT NULL,
    environment   text             NOT NULL,
    data          text             NOT NULL,
    windows       integer          NOT NULL,
    largest       double precision NOT NULL,
    mean          double precision NOT NULL,
    same_activity double precision NOT NULL,
    failure       text,
    exported_at   timestamptz      NOT NULL DEFAULT clock_timestamp(),
    checked_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version, format)
);
COMMENT ON TABLE model_exports IS 'Exports of model versions, which may serve in place of the model file';
COMMENT ON COLUMN model_exports.sha256 IS 'Of the exported file';
COMMENT ON COLUMN model_exports.environment IS 'The libraries it was compared with';
COMMENT ON COLUMN model_exports.data IS 'The windows it was compared on';
COMMENT ON COLUMN model_exports.largest IS 'Largest absolute difference of a probability, or of kcal/min';
COMMENT ON COLUMN model_exports.failure IS 'Why it must not serve; NULL where it may';

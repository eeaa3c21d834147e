-- Of promotions before this there is none: the first files of their version that pass the check are taken as promoted.
ALTER TABLE promotions ADD COLUMN sha256 text;
COMMENT ON COLUMN promotions.sha256 IS 'Of the files that were promoted (registry/versions.digest)';

CREATE TABLE model_checks (
    name             text        NOT NULL,
    version          text        NOT NULL,
    sha256           text        NOT NULL,
    environment      text        NOT NULL,
    refusal          text,
    note             text,
    first_checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, version, sha256, environment)
);
COMMENT ON TABLE model_checks IS 'Outcome of loading and trying each version of a model in a process of its own';
COMMENT ON COLUMN model_checks.sha256 IS 'Of its files; empty where they could not be fetched whole';
COMMENT ON COLUMN model_checks.environment IS 'The libraries it was tried with';
COMMENT ON COLUMN model_checks.refusal IS 'Why it must not serve; NULL where it may';

-- The persona of each participant: one row a person, replaced when personas are assigned again.
CREATE TABLE participant_personas (
    participant   text             PRIMARY KEY,
    persona       text             NOT NULL,
    number        integer          NOT NULL CHECK (number >= 0),
    distance      double precision NOT NULL CHECK (distance >= 0),
    recency       double precision,
    frequency     double precision,
    energy        double precision,
    variety       double precision,
    rhythm        double precision,
    steadiness    double precision,
    until_date    date             NOT NULL,
    model_version text             NOT NULL,
    assigned_at   timestamptz      NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX participant_personas_persona ON participant_personas (persona);
COMMENT ON TABLE participant_personas IS 'The persona of each participant by their daily records, and the behaviour it follows from';
COMMENT ON COLUMN participant_personas.participant IS 'The participant; the watch itself where nobody is assigned to it';
COMMENT ON COLUMN participant_personas.number IS 'Place of the persona in the model version, 0 the most active';
COMMENT ON COLUMN participant_personas.distance IS 'From the persona''s centroid, in standard deviations';
COMMENT ON COLUMN participant_personas.until_date IS 'The last date of the daily records that were used';
COMMENT ON COLUMN participant_personas.model_version IS 'Version of the model personas';

ALTER TABLE predictions ADD COLUMN familiarity real;
COMMENT ON COLUMN predictions.familiarity IS
    'Share of held-out people''s windows that lie at least as far from the training of model_version';

-- days on their way to the lake have the same columns
DO $days$
DECLARE
    day text;
BEGIN
    FOR day IN SELECT name FROM prediction_days_taken_out LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN familiarity real', day);
    END LOOP;
END
$days$;

-- The conformal quantile and the confidence of a model version on a device model, from audit labels. Rows are only added:
-- the newest one of a version and device model is in force.
CREATE TABLE device_calibrations (
    calibration_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    name             text NOT NULL,
    model_version    text NOT NULL,
    device_model     text NOT NULL,
    act              text NOT NULL CHECK (act IN ('calibrate', 'undo')),
    by_whom          text NOT NULL,
    labels           integer NOT NULL CHECK (labels >= 0),
    quantile         double precision CHECK (quantile BETWEEN 0 AND 1),
    power            double precision CHECK (power > 0),
    detail           jsonb NOT NULL DEFAULT '{}',
    CHECK (act = 'undo' OR (quantile IS NOT NULL AND power IS NOT NULL))
);
CREATE INDEX device_calibrations_newest ON device_calibrations (name, model_version, device_model, calibration_id DESC);
COMMENT ON TABLE device_calibrations IS
    'Calibration of a model version on a device model, from audit labels; the newest row of each is in force';

CREATE VIEW device_calibrations_in_force AS
SELECT * FROM (
    SELECT DISTINCT ON (name, model_version, device_model) *
    FROM device_calibrations ORDER BY name, model_version, device_model, calibration_id DESC
) AS newest
WHERE act = 'calibrate';
COMMENT ON VIEW device_calibrations_in_force IS 'Of each model version and device model, the newest calibration that was not undone';

DROP VIEW device_calibrations_in_force;
DROP TABLE device_calibrations;
DO $days$
DECLARE
    day text;
BEGIN
    FOR day IN SELECT name FROM prediction_days_taken_out LOOP
        EXECUTE format('ALTER TABLE %I DROP COLUMN familiarity', day);
    END LOOP;
END
$days$;
ALTER TABLE predictions DROP COLUMN familiarity;

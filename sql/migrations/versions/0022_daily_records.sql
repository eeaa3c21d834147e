-- A copy of the lake's daily records of the last settings.days.store_days days: `activity days build` and imports
-- replace whole months. activitymodule/days/columns.py says what each column means.
CREATE TABLE daily_records (
    participant     text             NOT NULL,
    date            date             NOT NULL,
    source          text             NOT NULL,
    zone            text             NOT NULL,
    hours           double precision NOT NULL,
    wear_minutes    double precision,
    completeness    double precision,
    active_minutes  double precision,
    minutes         jsonb,
    bouts           jsonb,
    hours_active    double precision[],
    workout         text,
    workout_minutes double precision,
    workout_kcal    double precision,
    steps           double precision,
    kcal            double precision,
    heart_resting   double precision,
    heart_mean      double precision,
    heart_max       double precision,
    intensity       double precision,
    first_wear      timestamptz,
    last_wear       timestamptz,
    PRIMARY KEY (participant, date, source)
);
CREATE INDEX daily_records_date ON daily_records (date);
COMMENT ON TABLE daily_records IS 'One row a participant, local day and source, of the last days; the lake has all of them';
COMMENT ON COLUMN daily_records.minutes IS 'Worn minutes by activity';
COMMENT ON COLUMN daily_records.hours_active IS 'Active minutes by hour since local midnight';

-- The rule of activitymodule/days/merging.py, in SQL.
CREATE VIEW daily_records_merged AS
WITH ranked AS (
    SELECT d AS entry, d.participant, d.date,
           row_number() OVER (
               PARTITION BY d.participant, d.date
               ORDER BY coalesce(d.wear_minutes, -1) DESC,
                        coalesce(array_position(ARRAY['devices', 'apple-health', 'garmin', 'fitbit'], d.source), 5),
                        d.source COLLATE "C"
           ) AS place
    FROM daily_records d
), grouped AS (
    SELECT participant, date,
           (array_agg(entry ORDER BY place))[1] AS main,
           (array_agg(entry ORDER BY place) FILTER (WHERE num_nonnulls(
               (entry).wear_minutes, (entry).completeness, (entry).first_wear, (entry).last_wear) > 0))[1] AS wear,
           (array_agg(entry ORDER BY place) FILTER (WHERE num_nonnulls(
               (entry).active_minutes, (entry).minutes, (entry).bouts, (entry).hours_active) > 0))[1] AS active,
           (array_agg(entry ORDER BY place) FILTER (WHERE num_nonnulls(
               (entry).workout, (entry).workout_minutes, (entry).workout_kcal) > 0))[1] AS workout,
           (array_agg((entry).steps ORDER BY place) FILTER (WHERE (entry).steps IS NOT NULL))[1] AS steps,
           (array_agg((entry).kcal ORDER BY place) FILTER (WHERE (entry).kcal IS NOT NULL))[1] AS kcal,
           (array_agg(entry ORDER BY place) FILTER (WHERE num_nonnulls(
               (entry).heart_resting, (entry).heart_mean, (entry).heart_max) > 0))[1] AS heart,
           (array_agg((entry).intensity ORDER BY place) FILTER (WHERE (entry).intensity IS NOT NULL))[1] AS intensity
    FROM ranked GROUP BY participant, date
)
SELECT participant, date, (main).source, (main).zone, (main).hours,
       (wear).wear_minutes, (wear).completeness,
       (active).active_minutes, (active).minutes, (active).bouts, (active).hours_active,
       (workout).workout, (workout).workout_minutes, (workout).workout_kcal,
       steps, kcal, (heart).heart_resting, (heart).heart_mean, (heart).heart_max, intensity,
       (wear).first_wear, (wear).last_wear
FROM grouped;
COMMENT ON VIEW daily_records_merged IS
    'One record a participant and day: of several sources the one of most wear, what it lacks from the others';

CREATE VIEW daily_activities AS
SELECT d.participant, d.date, d.source, spent.activity, spent.minutes::double precision AS minutes,
       (d.bouts ->> spent.activity)::double precision AS bouts
FROM daily_records d
CROSS JOIN LATERAL jsonb_each_text(d.minutes) AS spent (activity, minutes);
COMMENT ON VIEW daily_activities IS 'Worn minutes and bouts of each activity, one row a participant, day, source and activity';

CREATE VIEW daily_trends AS
SELECT participant, date, source, wear_minutes, active_minutes, steps, kcal,
       wear_minutes >= 600 AS worn,
       active_minutes / nullif(wear_minutes, 0) AS active_share,
       kcal / nullif(steps, 0) AS kcal_per_step,
       60 * steps / nullif(wear_minutes, 0) AS steps_per_hour,
       CASE WHEN count(steps) OVER week > 3 THEN avg(steps) OVER week END AS steps_7d,
       CASE WHEN count(steps) OVER four_weeks > 14 THEN avg(steps) OVER four_weeks END AS steps_28d,
       CASE WHEN count(active_minutes) OVER week > 3 THEN avg(active_minutes) OVER week END AS active_minutes_7d,
       CASE WHEN count(active_minutes) OVER four_weeks > 14 THEN avg(active_minutes) OVER four_weeks END
           AS active_minutes_28d
FROM daily_records
WINDOW week AS (PARTITION BY participant, source ORDER BY date RANGE BETWEEN '6 days' PRECEDING AND CURRENT ROW),
       four_weeks AS (
           PARTITION BY participant, source ORDER BY date RANGE BETWEEN '27 days' PRECEDING AND CURRENT ROW);
COMMENT ON VIEW daily_trends IS 'Ratios, and means of the last 7 and 28 days of which more than half are known';

CREATE VIEW daily_wear AS
SELECT date, source, count(*) AS participants,
       count(*) FILTER (WHERE wear_minutes >= 600) AS worn,
       count(*) FILTER (WHERE wear_minutes < 600) AS not_worn,
       avg(wear_minutes) AS wear_minutes,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY wear_minutes) AS median_wear_minutes,
       avg(completeness) AS completeness,
       avg(active_minutes) AS active_minutes, avg(steps) AS steps, avg(kcal) AS kcal
FROM daily_records GROUP BY date, source;
COMMENT ON VIEW daily_wear IS 'Each day over the participants: how many wore a watch for 10 hours or more, and means';

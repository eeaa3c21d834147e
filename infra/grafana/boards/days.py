"""Dashboard Days: wear time, activities and trends of daily records."""

from __future__ import annotations

from boards.panels import dashboard, series, sql, stat, steps, table

DASHBOARD = dashboard(
    "activity-days",
    "Days",
    "Daily records of the last 400 days: wear, activities, steps and energy over participants. The DAG build_days "
    "and imports fill them.",
    [
        stat(
            "Participants",
            "Participants with a daily record in this time.",
            sql(
                """
                SELECT count(DISTINCT participant) AS participants
                FROM daily_records WHERE $__timeFilter(date::timestamptz)
                """,
                table=True,
            ),
            unit="short",
        ),
        stat(
            "Days",
            "Days of participants in this time; of several sources of a day one counts.",
            sql(
                "SELECT count(*) AS days FROM daily_records_merged WHERE $__timeFilter(date::timestamptz)",
                table=True,
            ),
            unit="short",
        ),
        stat(
            "Worn",
            "Share of these days with 10 hours of wear or more, where wear is known.",
            sql(
                """
                SELECT avg((wear_minutes >= 600)::int) AS worn
                FROM daily_records_merged WHERE $__timeFilter(date::timestamptz)
                """,
                table=True,
            ),
            unit="percentunit",
            thresholds=steps((0.5, "orange"), (0.7, "green"), base="red"),
        ),
        stat(
            "Wear",
            "Median wear time a day.",
            sql(
                """
                SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY wear_minutes) AS minutes
                FROM daily_records_merged WHERE $__timeFilter(date::timestamptz)
                """,
                table=True,
            ),
            unit="m",
        ),
        stat(
            "Recorded",
            "Mean share of a day that is recorded, worn or not.",
            sql(
                "SELECT avg(completeness) AS share FROM daily_records_merged "
                "WHERE $__timeFilter(date::timestamptz)",
                table=True,
            ),
            unit="percentunit",
        ),
        stat(
            "Last day",
            "Time since the beginning of the last day that has a record.",
            sql(
                "SELECT extract(epoch FROM now() - max(date)::timestamptz) AS age FROM daily_records",
                table=True,
            ),
            unit="s",
            thresholds=steps((2 * 86400, "orange"), (3 * 86400, "red")),
        ),
        series(
            "Worn and not worn",
            "Participants by day: 10 hours of wear or more, less, and unknown.",
            sql("""
                SELECT date::timestamptz AS "time",
                       count(*) FILTER (WHERE wear_minutes >= 600) AS worn,
                       count(*) FILTER (WHERE wear_minutes < 600) AS "not worn",
                       count(*) FILTER (WHERE wear_minutes IS NULL) AS unknown
                FROM daily_records_merged WHERE $__timeFilter(date::timestamptz)
                GROUP BY date ORDER BY date
            """),
            unit="short",
            stack="normal",
            bars=True,
        ),
        series(
            "Wear time",
            "Mean wear time of a participant by day and source.",
            sql("""
                SELECT date::timestamptz AS "time", source AS metric, wear_minutes
                FROM daily_wear WHERE $__timeFilter(date::timestamptz)
                ORDER BY date, source
            """),
            unit="m",
        ),
        series(
            "Minutes by activity",
            "Mean minutes of each activity of a participant by day, from watches.",
            sql("""
                SELECT a.date::timestamptz AS "time", a.activity AS metric,
                       sum(a.minutes) / min(w.participants) AS minutes
                FROM daily_activities a JOIN daily_wear w USING (date, source)
                WHERE source = 'devices' AND $__timeFilter(a.date::timestamptz)
                GROUP BY a.date, a.activity ORDER BY a.date, a.activity
            """),
            unit="m",
            stack="normal",
            bars=True,
        ),
        series(
            "Steps and energy",
            "Mean steps and kcal of a participant by day.",
            sql("""
                SELECT date::timestamptz AS "time", avg(steps) AS steps, avg(kcal) AS kcal
                FROM daily_records_merged WHERE $__timeFilter(date::timestamptz)
                GROUP BY date ORDER BY date
            """),
            unit="short",
        ),
        table(
            "Least worn",
            "Participants with the least wear time in this time.",
            sql(
                """
                SELECT participant, count(*) AS days, count(*) FILTER (WHERE wear_minutes >= 600) AS worn,
                       round(avg(wear_minutes)) AS "wear a day", max(date) AS "last day"
                FROM daily_records_merged WHERE $__timeFilter(date::timestamptz)
                GROUP BY participant ORDER BY avg(wear_minutes) NULLS FIRST, participant LIMIT 50
                """,
                table=True,
            ),
            units={"wear a day": "m"},
        ),
        table(
            "Workouts",
            "Main workouts by activity in this time.",
            sql(
                """
                SELECT workout, count(*) AS days, round(avg(workout_minutes)) AS minutes,
                       round(avg(workout_kcal)) AS kcal
                FROM daily_records_merged
                WHERE workout IS NOT NULL AND $__timeFilter(date::timestamptz)
                GROUP BY workout ORDER BY days DESC
                """,
                table=True,
            ),
            units={"minutes": "m"},
        ),
    ],
    since="now-30d",
)

"""Dashboard Models: predictions of the champion, drift, promotions and retrainings."""

from __future__ import annotations

from boards.panels import bars, dashboard, level, prom, series, sql, stat, steps, table

DASHBOARD = dashboard(
    "activity-models",
    "Models",
    "Predictions and confidence of the champion, drift from its training data, promotions and retrainings.",
    [
        stat(
            "Champion",
            "Version that scored the last batch.",
            prom("max by (version) (activity_champion_info)", instant=True),
            unit="short",
            name="version ${__field.labels.version}",
        ),
        stat(
            "Energy model",
            "Version of the energy model that scored the last batch.",
            prom('max by (energy_version) (activity_champion_info{energy_version!=""})', instant=True),
            unit="short",
            name="version ${__field.labels.energy_version}",
        ),
        stat(
            "Confidence",
            "Mean over the windows of the last minute. It does not measure accuracy; the labels of the audit share do.",
            prom("avg(activity_confidence_mean)"),
            unit="percentunit",
            none="no windows",
        ),
        stat(
            "Decided",
            "Share of the windows of the last minute whose activity is precise enough by its thresholds.",
            prom("avg(activity_decided_share)"),
            unit="percentunit",
            none="no windows",
            w=3,
        ),
        stat(
            "Drift alarms, open",
            "Measures that exceed their thresholds, by the last `activity drift --record` or DAG drift_report.",
            prom("sum(activity_drift_alarms) or vector(0)", instant=True),
            unit="short",
            thresholds=steps((1, "red")),
            w=3,
        ),
        stat(
            "Retrainings under way",
            "Retrainings that run or wait for approval.",
            prom("sum(activity_retrainings_under_way)", instant=True),
            unit="short",
            w=3,
        ),
        stat(
            "Waits for approval",
            "How long the oldest challenger has waited for approval.",
            prom("max(activity_retraining_waits_seconds)", instant=True),
            unit="s",
            thresholds=steps((1, "orange"), (86400, "red")),
            w=3,
        ),
        series(
            "Activities",
            "Share of the complete windows of each minute by predicted activity.",
            sql("""
                SELECT $__timeGroupAlias(f.minute, $__interval), named.label AS metric, sum(counted.n) AS windows
                FROM feature_minutes f
                CROSS JOIN LATERAL (
                    SELECT v.labels FROM model_versions v
                    WHERE v.version = f.model_version AND cardinality(v.labels) = cardinality(f.activities)
                    ORDER BY v.registered_at DESC LIMIT 1
                ) AS meaning
                CROSS JOIN LATERAL unnest(f.activities) WITH ORDINALITY AS counted (n, place)
                JOIN LATERAL unnest(meaning.labels) WITH ORDINALITY AS named (label, place) USING (place)
                WHERE $__timeFilter(f.minute)
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="short",
            stack="percent",
            bars=True,
            least="1m",
            w=16,
        ),
        level(
            "Watches now",
            "Watches of the last minute by smoothed activity.",
            prom('sum by (activity) (activity_watches{activity!=""})', "{{activity}}", instant=True),
            unit="short",
        ),
        series(
            "Confidence by version",
            "Mean confidence of the complete windows of each minute by model version.",
            sql("""
                SELECT $__timeGroupAlias(minute, $__interval), 'version ' || model_version AS metric,
                       sum(confidence_sum) / sum(windows) AS confidence
                FROM feature_minutes
                WHERE $__timeFilter(minute) AND windows > 0
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="percentunit",
            most=1,
            least="1m",
        ),
        series(
            "Confidence by device model",
            "Mean confidence of the windows of each minute by the device model of their watch; a model that no device "
            "profile has is taken as sent.",
            sql("""
                SELECT $__timeGroupAlias(window_start, $__interval), coalesce(device_model, 'unknown') AS metric,
                       avg(confidence) AS confidence
                FROM predictions LEFT JOIN devices USING (device_id)
                WHERE $__timeFilter(window_start) AND activity IS NOT NULL
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="percentunit",
            most=1,
            least="1m",
        ),
        bars(
            "Accuracy by device model",
            "Share of the audit windows of all time whose gold label was predicted when they were queued, by the "
            "device model of their watch.",
            sql(
                """
                SELECT coalesce(device_model, 'unknown') AS device_model,
                       avg((queue_items.activity = gold_labels.label)::int) AS accuracy
                FROM gold_labels JOIN queue_items USING (device_id, window_start)
                LEFT JOIN devices USING (device_id)
                WHERE queue_items.stratum = 'audit' AND gold_labels.label IS NOT NULL
                GROUP BY 1 ORDER BY 1
                """,
                table=True,
            ),
            unit="percentunit",
            x="device_model",
        ),
        bars(
            "Confidences",
            "Histogram of the confidence of the complete windows in the time shown.",
            sql(
                """
                SELECT (10 * (place - 1))::text || ' to ' || (10 * place)::text || ' %' AS confidence,
                       sum(n) AS windows
                FROM feature_minutes, unnest(confidences) WITH ORDINALITY AS counted (n, place)
                WHERE $__timeFilter(minute)
                GROUP BY place ORDER BY place
                """,
                table=True,
            ),
            unit="short",
            x="confidence",
        ),
        series(
            "Drift, as a share of the threshold",
            "Each overall drift measure of the last monitoring.look_back_minutes, divided by its threshold: above 1 it "
            "is exceeded. docs/monitoring.md explains the measures. Empty with fewer windows than "
            "monitoring.least_windows.",
            prom(
                "max by (measure) (activity_drift_measure) / max by (measure) (activity_drift_bar)",
                "{{measure}}",
            ),
            unit="short",
            limit=1,
        ),
        series(
            "Unfamiliar windows",
            "Share of the windows of the last minute that lie further from the training than 95 % of held-out people's "
            "by device model: about 5 % on watches like those of the training.",
            prom("max by (device_model) (activity_unfamiliar_share)", "{{device_model}}"),
            unit="percentunit",
            limit=0.05,
        ),
        table(
            "Device calibrations",
            "The last 50 calibrations of a version on a device model from audit labels, whatever time is shown.",
            sql(
                """
                SELECT at, device_model AS "device model", model_version AS version, act, labels, quantile, power
                FROM device_calibrations ORDER BY at DESC LIMIT 50
                """,
                table=True,
            ),
            none="no calibration yet",
        ),
        table(
            "Drift alarms",
            "Open alarms, and alarms that ended in the time shown.",
            sql(
                """
                SELECT measure, subject, model_version AS version, value, bar AS threshold, since,
                       last_seen AS "last seen", over_at AS "ended"
                FROM drift_alarms
                WHERE over_at IS NULL OR $__timeFilter(over_at)
                ORDER BY over_at IS NOT NULL, since DESC LIMIT 200
                """,
                table=True,
            ),
            none="no alarm",
        ),
        series(
            "Windows by version",
            "Complete windows of each minute by the model version that scored them.",
            sql("""
                SELECT $__timeGroupAlias(minute, $__interval), 'version ' || model_version AS metric,
                       sum(windows) AS windows
                FROM feature_minutes
                WHERE $__timeFilter(minute)
                GROUP BY 1, 2 ORDER BY 1, 2
            """),
            unit="short",
            stack="normal",
            bars=True,
            least="1m",
        ),
        table(
            "Promotions",
            "The last 50 promotions and rejections, with their reasons; the time shown does not matter.",
            sql(
                """
                SELECT at, act, name, version, before, why FROM promotions ORDER BY at DESC LIMIT 50
                """,
                table=True,
            ),
            none="no promotion yet",
        ),
        table(
            "Versions",
            "Classifiers that have scored here, and their labels.",
            sql(
                """
                SELECT name, version, array_to_string(labels, ', ') AS labels, feature_version AS features,
                       registered_at AS "first used"
                FROM model_versions ORDER BY registered_at DESC LIMIT 50
                """,
                table=True,
            ),
        ),
        table(
            "Retrainings",
            "The last 50; the time shown does not matter. `activity retrain show RUN` shows every figure.",
            sql(
                """
                SELECT started_at AS started, finished_at AS finished, state, step, progress, challenger, summary,
                       why
                FROM retrain_runs ORDER BY started_at DESC LIMIT 50
                """,
                table=True,
            ),
            units={"progress": "percentunit"},
            none="no retraining yet",
        ),
    ],
    since="now-3h",
)  # fmt: skip

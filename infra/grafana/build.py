"""Writes the dashboards: `python infra/grafana/build.py`. SQL and PromQL stand here as one reads them.

A dashboard is a list of panels, laid out from left to right in a grid of 24 columns; tests/infra runs every query and
holds the files in dashboards/ to what this writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

FOLDER = Path(__file__).with_name("dashboards")
PROMETHEUS = {"type": "prometheus", "uid": "activity-prometheus"}
STORE = {"type": "grafana-postgresql-datasource", "uid": "activity-store"}
_COLUMNS = 24
_SCHEMA = 41  # of Grafana 12

Panel = dict[str, Any]


# ---- queries ---------------------------------------------------------------------------------------------------


def prom(expr: str, legend: str = "", *, instant: bool = False) -> dict[str, Any]:
    """A PromQL expression; instant: its value now, and no series."""
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def sql(query: str, *, table: bool = False) -> dict[str, Any]:
    """A query of the store; by default a series: columns time, then a label, then a number."""
    return {
        "datasource": STORE,
        "editorMode": "code",
        "format": "table" if table else "time_series",
        "rawQuery": True,
        "rawSql": dedent(query).strip(),
    }


# ---- panels ----------------------------------------------------------------------------------------------------


def _thresholds(*steps: tuple[float, str], base: str = "green") -> dict[str, Any]:
    """base, then each colour from its value on."""
    return {
        "mode": "absolute",
        "steps": [
            {"color": base, "value": None},
            *({"color": color, "value": value} for value, color in steps),
        ],
    }


def _panel(
    kind: str, title: str, says: str, targets: list[dict[str, Any]], w: int, h: int, defaults: dict[str, Any]
) -> Panel:
    return {
        "type": kind,
        "title": title,
        "description": says,
        "datasource": targets[0]["datasource"],
        "targets": [{**target, "refId": chr(ord("A") + n)} for n, target in enumerate(targets)],
        "gridPos": {"w": w, "h": h},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }


def series(
    title: str,
    says: str,
    *targets: dict[str, Any],
    unit: str,
    w: int = 12,
    stack: str = "none",
    bars: bool = False,
    bar: float | None = None,
    most: float | None = None,
    least: str | None = None,
) -> Panel:
    """Lines over time. stack : none, normal or percent; bars : as bars; bar : a limit to draw; most : end of the
    axis; least : the shortest interval of $__interval."""
    stacked = stack != "none"
    custom: dict[str, Any] = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 70 if stacked or bars else 10,
        "showPoints": "auto",
        "spanNulls": 120_000,
        "stacking": {"mode": stack, "group": "A"},
        "thresholdsStyle": {"mode": "off" if bar is None else "dashed"},
    }
    defaults = {
        "unit": unit,
        "min": 0,
        "custom": custom,
        "color": {"mode": "palette-classic"},
        "thresholds": _thresholds() if bar is None else _thresholds((bar, "red")),
    }
    if most is not None:
        defaults["max"] = most
    made = _panel("timeseries", title, says, list(targets), w, 8, defaults)
    made["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    if least is not None:
        made["interval"] = least
    return made


def stat(
    title: str,
    says: str,
    target: dict[str, Any],
    *,
    unit: str,
    thresholds: dict[str, Any] | None = None,
    none: str = "none",
    name: str | None = None,
    w: int = 4,
) -> Panel:
    """One number. none : what is shown where there is none; name : show this (a template of labels) in its place."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "noValue": none,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds or _thresholds(),
    }
    if name is not None:
        defaults["displayName"] = name
    made = _panel("stat", title, says, [target], w, 4, defaults)
    made["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none" if target.get("instant") else "area",
        "textMode": "value" if name is None else "name",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return made


def bars(
    title: str,
    says: str,
    target: dict[str, Any],
    *,
    unit: str,
    x: str,
    w: int = 12,
    stacked: bool = False,
    none: str = "none",
) -> Panel:
    """Bars by the column x; every other column is a bar."""
    defaults = {
        "unit": unit,
        "min": 0,
        "noValue": none,
        "custom": {"fillOpacity": 80, "lineWidth": 1},
        "color": {"mode": "palette-classic"},
        "thresholds": _thresholds(),
    }
    made = _panel("barchart", title, says, [target], w, 8, defaults)
    made["options"] = {
        "xField": x,
        "orientation": "auto",
        "stacking": "normal" if stacked else "none",
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return made


def level(title: str, says: str, target: dict[str, Any], *, unit: str, w: int = 8) -> Panel:
    """A bar for each series, as it is now."""
    made = _panel(
        "bargauge", title, says, [target], w, 8,
        {"unit": unit, "min": 0, "color": {"mode": "continuous-BlPu"}, "thresholds": _thresholds()},
    )  # fmt: skip
    made["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "gradient",
        "orientation": "horizontal",
        "showUnfilled": True,
    }
    return made


def table(
    title: str,
    says: str,
    target: dict[str, Any],
    *,
    units: dict[str, str] | None = None,
    w: int = 12,
    none: str = "none in this time",
) -> Panel:
    """Rows as they are. units : of single columns."""
    made = _panel(
        "table", title, says, [target], w, 8,
        {"noValue": none, "custom": {"align": "auto", "inspect": True}, "thresholds": _thresholds()},
    )  # fmt: skip
    made["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}]}
        for column, unit in (units or {}).items()
    ]
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def dashboard(
    uid: str, title: str, says: str, panels: list[Panel], *, since: str = "now-30m"
) -> dict[str, Any]:
    """Panels laid out row by row: a panel that does not fit begins the next row."""
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        place = panel["gridPos"]
        if x + place["w"] > _COLUMNS:
            x, y, height = 0, y + height, 0
        panel["id"] = number
        panel["gridPos"] = {"x": x, "y": y, **place}
        x, height = x + place["w"], max(height, place["h"])
    return {
        "uid": uid,
        "title": title,
        "description": says,
        "tags": ["activity"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": since, "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m"]},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": []},
        "annotations": {"list": [_PROMOTED]},
        "links": [
            {"type": "dashboards", "title": "Activity", "tags": ["activity"], "asDropdown": False,
             "includeVars": False, "keepTime": True, "targetBlank": False}
        ],
        "panels": panels,
    }  # fmt: skip


_PROMOTED = {
    "name": "Promotions",
    "datasource": STORE,
    "enable": True,
    "iconColor": "purple",
    "target": {
        "refId": "Anno",
        "editorMode": "code",
        "format": "table",
        "rawQuery": True,
        "rawSql": dedent("""
            SELECT at AS "time", act || ': ' || name || ' ' || version AS text, name AS tags
            FROM promotions WHERE $__timeFilter(at) ORDER BY at
        """).strip(),
    },
}


# ---- the dashboards --------------------------------------------------------------------------------------------


def pipeline() -> dict[str, Any]:
    return dashboard(
        "activity-pipeline",
        "Pipeline",
        "From a watch's message to its prediction: how much, how fast, how far behind, and what could not be used.",
        [
            stat(
                "Alerts",
                "Alerts that fire now. What each means and what to do: docs/monitoring.md; the list is at "
                "Prometheus, Alerts.",
                prom('count(ALERTS{alertstate="firing"}) or vector(0)', instant=True),
                unit="short",
                thresholds=_thresholds((1, "red")),
            ),
            stat(
                "Watches",
                "Watches that were heard of in the last minute.",
                prom("sum(activity_watches) or vector(0)"),
                unit="short",
                thresholds=_thresholds((1, "green"), base="orange"),
            ),
            stat(
                "Readings scored",
                "Readings in the windows of the last minute. A watch sends ten a second.",
                prom("sum(activity_readings_last_minute) / 60"),
                unit="reads/s",
            ),
            stat(
                "Latency, p95",
                "From a window's newest reading in Kafka to its row, over the last minute.",
                prom('max(activity_latency_quantile_seconds{quantile="0.95"})'),
                unit="s",
                thresholds=_thresholds((2, "orange"), (10, "red")),
                none="no windows",
            ),
            stat(
                "Behind",
                "How long what waits to be scored took to arrive.",
                prom("activity:lag_seconds"),
                unit="s",
                thresholds=_thresholds((30, "orange"), (60, "red")),
            ),
            stat(
                "Disk, free",
                "Of the disk that holds the lake and the checkpoints; the fullest where there are several.",
                prom("min(activity_disk_free_bytes / activity_disk_total_bytes)"),
                unit="percentunit",
                thresholds=_thresholds((0.03, "orange"), (0.1, "green"), base="red"),
            ),
            series(
                "Messages",
                "What the broker gets, and what the scorer takes up. The second below the first for long: it falls "
                "behind.",
                prom("sum(rate(activity_broker_messages_total[$__rate_interval]))", "arriving"),
                prom('sum(spark_streaming_inputRate_total{query="score"})', "taken up by the scorer"),
                unit="mps",
            ),
            series(
                "Windows of the last minute",
                "Windows written, and those that are over and have no activity (too few readings).",
                prom("sum(activity_windows_last_minute)", "written"),
                prom("sum(activity_windows_without_activity_last_minute)", "without an activity"),
                unit="short",
            ),
            series(
                "Latency",
                "From a window's newest reading in Kafka to its row: the typical window, and one in twenty.",
                prom('max by (quantile) (activity_latency_quantile_seconds)', "p{{quantile}}"),
                unit="s",
            ),
            series(
                "Windows in time",
                "Share of the windows of the last minute that were written within so many seconds.",
                prom(
                    'sum by (le) (activity_latency_last_minute_windows{le=~"0.5|1|2|10"}) / on () group_left () '
                    '(sum(activity_latency_last_minute_windows{le="+Inf"}) > 0)',
                    "within {{le}} s",
                ),
                unit="percentunit",
                most=1,
            ),
            series(
                "Lag",
                "Messages of each partition that are not scored yet. A batch's worth is normal.",
                prom("sum by (partition) (activity_lag_messages)", "partition {{partition}}"),
                unit="short",
                stack="normal",
            ),
            series(
                "Behind the watches",
                "The lag as time: how long what waits took to arrive. The alert LagStaysHigh fires above the line.",
                prom("activity:lag_seconds", "behind"),
                unit="s",
                bar=60,
            ),
            series(
                "Batches",
                "How long batches took, from the store's own record of each.",
                sql("""
                    SELECT $__timeGroupAlias(started_at, $__interval),
                           percentile_cont(0.5) WITHIN GROUP (
                               ORDER BY extract(epoch FROM finished_at - started_at)::float8) AS typical,
                           max(extract(epoch FROM finished_at - started_at))::float8 AS longest
                    FROM batches
                    WHERE $__timeFilter(started_at) AND finished_at IS NOT NULL
                    GROUP BY 1 ORDER BY 1
                """),
                unit="s",
                least="10s",
            ),
            series(
                "Trigger",
                "How long Spark's triggers took, planning and checkpoint included. The archive writes once a minute.",
                prom("sum by (query) (spark_streaming_latency) / 1000", "{{query}}"),
                unit="s",
            ),
            series(
                "State",
                "Windows that Spark keeps open for late readings: about watches x watermark / slide.",
                prom('sum(spark_streaming_states_rowsTotal{query="score"})', "windows"),
                unit="short",
                w=8,
            ),
            series(
                "State, size",
                "Memory or files of the state. Where it outgrows memory: ACTIVITY_SPARK__STATE_STORE=rocksdb.",
                prom('sum(spark_streaming_states_usedBytes{query="score"})', "state"),
                unit="bytes",
                w=8,
            ),
            series(
                "Executors, heap",
                "Java memory of each executor, as it last told the driver.",
                prom("sum by (executor_id) (spark_executor_JVMHeapMemory_bytes)", "{{executor_id}}"),
                unit="bytes",
                w=8,
            ),
            series(
                "Cluster",
                "Spark's workers, and their cores. Empty on the embedded stack, which has none.",
                prom("sum(spark_master_aliveWorkers)", "workers"),
                prom("sum(spark_worker_coresUsed)", "cores in use"),
                prom("sum(spark_worker_coresFree)", "cores free"),
                unit="short",
                w=8,
            ),
            series(
                "Dead letters",
                "Messages and readings that could not be used, by reason.",
                sql("""
                    SELECT $__timeGroupAlias(noticed_at, $__interval), reason AS metric, count(*) AS letters
                    FROM dead_letters
                    WHERE $__timeFilter(noticed_at)
                    GROUP BY 1, 2 ORDER BY 1, 2
                """),
                unit="short",
                stack="normal",
                bars=True,
                least="10s",
                w=8,
            ),
            table(
                "Dead letters by reason",
                "In the time shown. `activity dead-letters summary` has an example of each.",
                sql(
                    """
                    SELECT reason, count(*) AS letters, count(replayed_at) AS "sent again",
                           max(noticed_at) AS "last noticed"
                    FROM dead_letters
                    WHERE $__timeFilter(noticed_at)
                    GROUP BY reason ORDER BY letters DESC
                    """,
                    table=True,
                ),
                w=8,
            ),
        ],
    )  # fmt: skip


def models() -> dict[str, Any]:
    return dashboard(
        "activity-models",
        "Models",
        "What the champion says, how sure it is, whether the readings still look like training, and who came before.",
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
                "Version of the energy model that goes with it.",
                prom('max by (energy_version) (activity_champion_info{energy_version!=""})', instant=True),
                unit="short",
                name="version ${__field.labels.energy_version}",
            ),
            stat(
                "Confidence",
                "Mean over the windows of the last minute. Alone it judges nothing: the audit share does.",
                prom("avg(activity_confidence_mean)"),
                unit="percentunit",
                none="no windows",
            ),
            stat(
                "Drift alarms, open",
                "Measures over their bars. They are looked at by `activity drift --record` and by Airflow every hour.",
                prom("sum(activity_drift_alarms) or vector(0)", instant=True),
                unit="short",
                thresholds=_thresholds((1, "red")),
            ),
            stat(
                "Retrainings under way",
                "That run or wait for approval.",
                prom("sum(activity_retrainings_under_way)", instant=True),
                unit="short",
            ),
            stat(
                "Waits for approval",
                "How long the oldest challenger has waited for a person.",
                prom("max(activity_retraining_waits_seconds)", instant=True),
                unit="s",
                thresholds=_thresholds((1, "orange"), (86400, "red")),
            ),
            series(
                "Activities",
                "Share of the complete windows by predicted activity and minute.",
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
                "Mean confidence of the complete windows of each minute, and which version gave it.",
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
            bars(
                "Confidences",
                "Complete windows of the time shown by tenth of confidence.",
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
                "Drift, as a share of its bar",
                "How far the last half hour is from the champion's baseline: 1 is the bar. features_share: features "
                "over their own bars; class_shift: other activities than in training; confidence_shift: the mean. "
                "Empty until there are enough windows to judge (monitoring.least_windows).",
                prom(
                    "max by (measure) (activity_drift_measure) / max by (measure) (activity_drift_bar)",
                    "{{measure}}",
                ),
                unit="short",
                bar=1,
            ),
            table(
                "Drift alarms",
                "Open ones, and those that ended in the time shown.",
                sql(
                    """
                    SELECT measure, subject, model_version AS version, value, bar, since, last_seen AS "last seen",
                           over_at AS "over"
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
                "Who scored how many complete windows: a promotion is where the colour changes.",
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
                "The last fifty that were let in or turned away, whenever it was, and why.",
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
                "The last fifty, whenever it was. `activity retrain show RUN` has every figure.",
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


def labelling() -> dict[str, Any]:
    return dashboard(
        "activity-labelling",
        "Labelling",
        "What waits for people, what they answer, and how far they agree. Nobody is named here.",
        [
            stat(
                "Waiting",
                "Windows that wait to be labelled.",
                prom("sum(activity_queue_items) or vector(0)"),
                unit="short",
            ),
            stat(
                "Oldest",
                "How long the oldest waits. Items are withdrawn after queue.expire_hours.",
                prom("max(activity_queue_oldest_seconds)"),
                unit="s",
                thresholds=_thresholds((86400, "orange"), (48 * 3600, "red")),
            ),
            stat(
                "Labels, last hour",
                "Labels given in the last hour; skips, unsure and flags are no labels.",
                prom("sum(activity_labels_last_hour)"),
                unit="short",
            ),
            stat(
                "Annotators, last hour",
                "People who answered anything in the last hour.",
                prom("sum(activity_annotators_last_hour)"),
                unit="short",
            ),
            stat(
                "Held now",
                "Items that an annotator holds now.",
                prom("sum(activity_leases)"),
                unit="short",
            ),
            stat(
                "Kappa",
                "Mean of Cohen's kappa over the pairs of annotators, by their common windows: 1 is full agreement, "
                "0 is chance.",
                prom("max(activity_annotator_kappa)"),
                unit="none",
                thresholds=_thresholds((0.4, "orange"), (0.6, "green"), base="red"),
                none="no pair yet",
            ),
            series(
                "Queue by stratum",
                "audit: drawn at random, judges models; cold: spread, while labels are few; doubt: chosen.",
                prom("sum by (stratum) (activity_queue_items)", "{{stratum}}"),
                unit="short",
                stack="normal",
            ),
            bars(
                "Queue by age",
                "Windows that wait now, by how long they have.",
                sql(
                    """
                    SELECT CASE WHEN hours < 1 THEN 'under 1 h' WHEN hours < 6 THEN '1 to 6 h'
                                WHEN hours < 24 THEN '6 to 24 h' WHEN hours < 48 THEN '1 to 2 days'
                                ELSE 'over 2 days' END AS age,
                           count(*) FILTER (WHERE stratum = 'audit') AS audit,
                           count(*) FILTER (WHERE stratum = 'cold') AS cold,
                           count(*) FILTER (WHERE stratum = 'doubt') AS doubt
                    FROM (
                        SELECT stratum, extract(epoch FROM now() - queued_at) / 3600 AS hours
                        FROM queue_items WHERE closed_at IS NULL AND expires_at > now()
                    ) AS waiting
                    GROUP BY 1 ORDER BY min(hours)
                    """,
                    table=True,
                ),
                unit="short",
                x="age",
                stacked=True,
                none="nothing waits",
            ),
            series(
                "Queued and closed",
                "Items that came to the queue in each hour, and that left it: answered, expired or withdrawn.",
                sql("""
                    SELECT $__timeGroupAlias(queued_at, '1h'), 'queued' AS metric, count(*) AS items
                    FROM queue_items WHERE $__timeFilter(queued_at)
                    GROUP BY 1
                    UNION ALL
                    SELECT $__timeGroupAlias(closed_at, '1h'), closed_because, count(*)
                    FROM queue_items WHERE $__timeFilter(closed_at)
                    GROUP BY 1, 2
                    ORDER BY 1, 2
                """),
                unit="short",
                bars=True,
            ),
            series(
                "Labels an hour",
                "Labels of each hour by stratum of their item; none: of a window that was not queued.",
                sql("""
                    SELECT $__timeGroupAlias(a.created_at, '1h'), coalesce(q.stratum, 'none') AS metric,
                           count(*) AS labels
                    FROM annotations a LEFT JOIN queue_items q USING (item_id)
                    WHERE $__timeFilter(a.created_at) AND a.answer = 'label'
                    GROUP BY 1, 2 ORDER BY 1, 2
                """),
                unit="short",
                stack="normal",
                bars=True,
            ),
            series(
                "Answers by kind",
                "Answers of each hour. Many skips or unsure: the windows, or the labels on offer, are not clear.",
                sql("""
                    SELECT $__timeGroupAlias(created_at, '1h'), answer AS metric, count(*) AS answers
                    FROM annotations
                    WHERE $__timeFilter(created_at)
                    GROUP BY 1, 2 ORDER BY 1, 2
                """),
                unit="short",
                stack="normal",
                bars=True,
            ),
            series(
                "Seconds an answer",
                "From an item's appearance to the answer: the typical one of each hour.",
                sql("""
                    SELECT $__timeGroupAlias(created_at, '1h'),
                           percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS typical
                    FROM annotations
                    WHERE $__timeFilter(created_at) AND seconds IS NOT NULL
                    GROUP BY 1 ORDER BY 1
                """),
                unit="s",
            ),
            series(
                "Agreement of annotators",
                "Of the windows that two people labelled: share with one label, and Cohen's kappa, which takes chance "
                "off. Empty until two have labelled a window.",
                prom("max(activity_annotator_agreement)", "agree"),
                prom("max(activity_annotator_kappa)", "kappa"),
                unit="none",
                most=1,
            ),
            bars(
                "Gold labels",
                "The labels that stand, all of them, by what they are for: the audit share judges models, the others "
                "teach them. disputed: people differ and nobody has decided.",
                sql(
                    """
                    SELECT coalesce(g.label, 'disputed') AS label,
                           count(*) FILTER (WHERE q.stratum = 'audit') AS judge,
                           count(*) FILTER (WHERE q.stratum IS DISTINCT FROM 'audit') AS teach
                    FROM gold_labels g LEFT JOIN queue_items q USING (device_id, window_start)
                    GROUP BY 1 ORDER BY count(*) DESC
                    """,
                    table=True,
                ),
                unit="short",
                x="label",
                stacked=True,
                none="no label yet",
            ),
            table(
                "Labels and the model",
                "Of the labels of the time shown: how often people said what the model had said. Of the audit share, "
                "drawn at random, that is an honest guess of its accuracy; of the others it is not.",
                sql(
                    """
                    SELECT q.stratum, count(*) AS labels, avg((a.label = a.suggested)::int)::float8 AS "as the model"
                    FROM annotations a JOIN queue_items q USING (item_id)
                    WHERE $__timeFilter(a.created_at) AND a.answer = 'label' AND a.suggested IS NOT NULL
                    GROUP BY q.stratum ORDER BY q.stratum
                    """,
                    table=True,
                ),
                units={"as the model": "percentunit"},
            ),
            table(
                "Windows labelled by several",
                "Of the windows that two or more people labelled: agreed, decided by a reviewer, or disputed.",
                sql(
                    """
                    SELECT CASE WHEN adjudicated THEN 'decided' WHEN disputed THEN 'disputed' ELSE 'agreed' END
                               AS outcome,
                           count(*) AS windows
                    FROM gold_labels WHERE annotators > 1 OR adjudicated
                    GROUP BY 1 ORDER BY windows DESC
                    """,
                    table=True,
                ),
                none="none yet",
            ),
        ],
        since="now-24h",
    )  # fmt: skip


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for made in (pipeline(), models(), labelling()):
        name = made["uid"].removeprefix("activity-")
        (FOLDER / f"{name}.json").write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

"""Queries, panels and the layout of a dashboard, as Grafana's JSON.

A dashboard is a list of panels, laid out from left to right in a grid of 24 columns.
"""

from __future__ import annotations

from textwrap import dedent
from typing import Any

PROMETHEUS = {"type": "prometheus", "uid": "activity-prometheus"}
STORE = {"type": "grafana-postgresql-datasource", "uid": "activity-store"}
_COLUMNS = 24
_SCHEMA = 41  # of Grafana 12

Json = dict[str, Any]
"""A part of a dashboard, in Grafana's own free form."""


# ---- queries ---------------------------------------------------------------------------------------------------


def prom(expr: str, legend: str = "", *, instant: bool = False) -> Json:
    """A PromQL expression; instant: its value now, and no series."""
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def sql(query: str, *, table: bool = False) -> Json:
    """A query of the store; by default a series: columns time, then a label, then a number."""
    return {
        "datasource": STORE,
        "editorMode": "code",
        "format": "table" if table else "time_series",
        "rawQuery": True,
        "rawSql": dedent(query).strip(),
    }


# ---- panels ----------------------------------------------------------------------------------------------------


def steps(*values: tuple[float, str], base: str = "green") -> Json:
    """Thresholds: the colour `base`, then each colour from its value on."""
    return {
        "mode": "absolute",
        "steps": [
            {"color": base, "value": None},
            *({"color": color, "value": value} for value, color in values),
        ],
    }


def _panel(kind: str, title: str, text: str, targets: list[Json], w: int, h: int, defaults: Json) -> Json:
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": targets[0]["datasource"],
        "targets": [{**target, "refId": chr(ord("A") + n)} for n, target in enumerate(targets)],
        "gridPos": {"w": w, "h": h},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }


def series(
    title: str,
    text: str,
    *targets: Json,
    unit: str,
    w: int = 12,
    stack: str = "none",
    bars: bool = False,
    limit: float | None = None,
    most: float | None = None,
    least: str | None = None,
) -> Json:
    """Lines over time. stack : none, normal or percent; bars : draw bars; limit : a line to draw; most : end of the
    axis; least : the shortest $__interval."""
    stacked = stack != "none"
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 70 if stacked or bars else 10,
        "showPoints": "auto",
        "spanNulls": 120_000,
        "stacking": {"mode": stack, "group": "A"},
        "thresholdsStyle": {"mode": "off" if limit is None else "dashed"},
    }
    defaults = {
        "unit": unit,
        "min": 0,
        "custom": custom,
        "color": {"mode": "palette-classic"},
        "thresholds": steps() if limit is None else steps((limit, "red")),
    }
    if most is not None:
        defaults["max"] = most
    made = _panel("timeseries", title, text, list(targets), w, 8, defaults)
    made["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    if least is not None:
        made["interval"] = least
    return made


def stat(
    title: str,
    text: str,
    target: Json,
    *,
    unit: str,
    thresholds: Json | None = None,
    none: str = "none",
    name: str | None = None,
    w: int = 4,
) -> Json:
    """One number. none : shown without a value; name : a template of labels, shown in place of the number."""
    defaults: Json = {
        "unit": unit,
        "noValue": none,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds or steps(),
    }
    if name is not None:
        defaults["displayName"] = name
    made = _panel("stat", title, text, [target], w, 4, defaults)
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
    text: str,
    target: Json,
    *,
    unit: str,
    x: str,
    w: int = 12,
    stacked: bool = False,
    none: str = "none",
) -> Json:
    """Bars by the column x; every other column is a bar."""
    defaults = {
        "unit": unit,
        "min": 0,
        "noValue": none,
        "custom": {"fillOpacity": 80, "lineWidth": 1},
        "color": {"mode": "palette-classic"},
        "thresholds": steps(),
    }
    made = _panel("barchart", title, text, [target], w, 8, defaults)
    made["options"] = {
        "xField": x,
        "orientation": "auto",
        "stacking": "normal" if stacked else "none",
        "showValue": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return made


def level(title: str, text: str, target: Json, *, unit: str, w: int = 8) -> Json:
    """A bar for the current value of each series."""
    made = _panel(
        "bargauge", title, text, [target], w, 8,
        {"unit": unit, "min": 0, "color": {"mode": "continuous-BlPu"}, "thresholds": steps()},
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
    text: str,
    target: Json,
    *,
    units: dict[str, str] | None = None,
    w: int = 12,
    none: str = "none in this time",
) -> Json:
    """Rows. units : by column."""
    made = _panel(
        "table", title, text, [target], w, 8,
        {"noValue": none, "custom": {"align": "auto", "inspect": True}, "thresholds": steps()},
    )  # fmt: skip
    made["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}]}
        for column, unit in (units or {}).items()
    ]
    made["options"] = {"showHeader": True, "cellHeight": "sm"}
    return made


def dashboard(uid: str, title: str, text: str, panels: list[Json], *, since: str = "now-30m") -> Json:
    """Jsons laid out row by row: a panel that does not fit begins the next row."""
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
        "description": text,
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

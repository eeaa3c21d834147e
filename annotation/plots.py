"""Interactive charts (ECharts) of the pages of days, personas and reports.

Their colours can be read on the light and on the dark ground: a canvas does not follow the page's variables. Each
chart has a label for screen readers, and the page offers its numbers as a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from nicegui import ui

from annotation.palette import COLOURS

MUTED = "#7d8794"
_LINES = "rgba(125,135,148,.28)"
_FEW_DAYS = 31  # that are all shown
_TEXT = {"color": MUTED, "fontSize": 11, "fontFamily": "inherit"}
_SHADES = ["rgba(11,87,196,.10)", "#7fb0f5", "#2f74d8", "#0b3f96"]

Options = dict[str, object]
"""What ECharts draws, in its own words."""


def show(options: Options, label: str, *, height: int = 260, three_d: bool = False) -> ui.echart:
    """A chart of full width. label : what it shows, for screen readers"""
    common: Options = {
        "animation": False,
        "textStyle": {"fontFamily": "inherit"},
        "aria": {"enabled": True, "label": {"description": label}},
    }
    chart = ui.echart({**common, **options}, enable_3d=three_d)
    return chart.classes("w-full").style(f"height: {height}px").props(f'role="img" aria-label="{label}"')


def _axis(name: str = "", **more: object) -> Options:
    return {
        "name": name,
        "nameTextStyle": {**_TEXT, "align": "left"},
        "axisLabel": _TEXT,
        "axisLine": {"lineStyle": {"color": _LINES}},
        "splitLine": {"lineStyle": {"color": _LINES}},
        **more,
    }


def _legend(names: Sequence[str]) -> Options:
    return {"data": list(names), "type": "scroll", "bottom": 0, "textStyle": _TEXT, "icon": "circle"}


def _over_days(days: Sequence[date], unit: str, series: list[Options], names: Sequence[str]) -> Options:
    shown = min(1.0, 92 / max(len(days), 1))
    several, few = len(names) > 1, len(days) <= _FEW_DAYS
    slider = {
        "type": "slider",
        "bottom": 28 if several else 6,
        "height": 18,
        "start": 100 * (1 - shown),
        "end": 100,
    }
    return {
        "grid": {"left": 48, "right": 14, "top": 30, "bottom": (54 if several else 28) + (0 if few else 28)},
        "tooltip": {"trigger": "axis", "confine": True},
        **({"legend": _legend(names)} if several else {}),
        "xAxis": _axis(type="category", data=[f"{day:%Y-%m-%d}" for day in days], splitLine={"show": False}),
        "yAxis": _axis(unit, type="value"),
        "dataZoom": [] if few else [slider],
        "series": series,
    }


def stacked_days(
    days: Sequence[date], values: Mapping[str, Sequence[float]], colours: Mapping[str, str]
) -> Options:
    """Minutes of each day by activity, one bar a day; the last three months, the rest by the slider."""
    series: list[Options] = [
        {
            "name": name,
            "type": "bar",
            "stack": "day",
            "data": [round(value, 1) for value in numbers],
            "itemStyle": {"color": colours[name]},
            "barCategoryGap": "12%",
        }
        for name, numbers in values.items()
    ]
    return _over_days(days, "min", series, list(values))


def day_lines(days: Sequence[date], unit: str, lines: Mapping[str, Sequence[float | None]]) -> Options:
    """Lines over days, a gap where a value is unknown."""
    series: list[Options] = [
        {
            "name": name,
            "type": "line",
            "showSymbol": len(days) <= _FEW_DAYS,  # a line needs two days beside each other to be seen
            "data": [None if value is None else round(value, 2) for value in numbers],
            "lineStyle": {"width": 2, "type": "dashed" if k > 1 else "solid"},
            "itemStyle": {"color": COLOURS[k % len(COLOURS)]},
        }
        for k, (name, numbers) in enumerate(lines.items())
    ]
    return _over_days(days, unit, series, list(lines))


def calendar(days: Sequence[date], values: Sequence[float | None], unit: str) -> Options:
    """A year of days as squares by week; empty where a day is unknown."""
    known = [value for value in values if value is not None]
    most = max(known, default=1.0) or 1.0
    return {
        "tooltip": {"confine": True, "formatter": f"{{c}} {unit}".strip()},
        "visualMap": {
            "min": 0,
            "max": round(most, 1),
            "orient": "horizontal",
            "left": 40,
            "bottom": 0,
            "itemHeight": 90,
            "itemWidth": 10,
            "calculable": False,
            "text": [f"{most:,.0f} {unit}", "0"],
            "textStyle": _TEXT,
            "inRange": {"color": _SHADES},
        },
        "calendar": {
            "range": [f"{days[0]:%Y-%m-%d}", f"{days[-1]:%Y-%m-%d}"],
            "left": 40,
            "right": 8,
            "top": 24,
            "cellSize": ["auto", 15],
            "splitLine": {"lineStyle": {"color": MUTED, "width": 1}},
            "itemStyle": {"color": "transparent", "borderColor": _LINES},
            "dayLabel": {**_TEXT, "firstDay": 1, "nameMap": "en"},
            "monthLabel": _TEXT,
            "yearLabel": {"show": False},
        },
        "series": [
            {
                "type": "heatmap",
                "coordinateSystem": "calendar",
                "data": [
                    [f"{day:%Y-%m-%d}", round(value, 1)]
                    for day, value in zip(days, values, strict=True)
                    if value is not None
                ],
            }
        ],
    }


def scatter_3d(
    points: Mapping[str, Sequence[tuple[float, float, float, str]]],
    axes: tuple[str, str, str],
    colours: Mapping[str, str],
) -> Options:
    """Points in three dimensions, by group: (x, y, z, name of the point). Drag to turn, scroll to zoom."""
    axis: Options = {
        "axisLabel": {"textStyle": {"color": MUTED, "fontSize": 14, "lineHeight": 30, "padding": [8, 0]}},
        "nameTextStyle": {"color": MUTED, "fontSize": 17, "lineHeight": 34, "padding": [8, 0]},
        "axisLine": {"lineStyle": {"color": MUTED}},
        "splitLine": {"lineStyle": {"color": _LINES}},
        "axisPointer": {"lineStyle": {"color": MUTED}},
    }
    named = dict(zip(("xAxis3D", "yAxis3D", "zAxis3D"), axes, strict=True))
    return {
        "tooltip": {"confine": True, "formatter": "{a}<br>{b}"},
        "legend": _legend(list(points)),
        "grid3D": {
            "top": 0,
            "height": "88%",
            "boxWidth": 110,
            "boxDepth": 110,
            "viewControl": {"distance": 230, "autoRotate": False},
        },
        **{key: {**axis, "name": name, "type": "value"} for key, name in named.items()},
        "series": [
            {
                "name": group,
                "type": "scatter3D",
                "symbolSize": 6,
                "itemStyle": {"color": colours[group], "opacity": 0.75},
                "data": [{"name": name, "value": [x, y, z]} for x, y, z, name in rows],
            }
            for group, rows in points.items()
        ],
    }


def lines_with_bands(
    xs: Sequence[float], unit: str, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]
) -> Options:
    """Lines over a number such as k, each (mean, standard deviation) with whiskers as a band."""
    series: list[Options] = []
    for k, (name, (means, spreads)) in enumerate(lines.items()):
        colour = COLOURS[k % len(COLOURS)]
        low = [round(mean - spread, 4) for mean, spread in zip(means, spreads, strict=True)]
        series += [
            {
                "name": name,
                "type": "line",
                "data": [round(mean, 4) for mean in means],
                "itemStyle": {"color": colour},
                "symbolSize": 6,
            },
            {
                "type": "line",
                "data": low,
                "stack": name,
                "symbol": "none",
                "lineStyle": {"opacity": 0},
                "silent": True,
            },
            {
                "type": "line",
                "data": [round(2 * spread, 4) for spread in spreads],
                "stack": name,
                "symbol": "none",
                "lineStyle": {"opacity": 0},
                "areaStyle": {"color": colour, "opacity": 0.18},
                "silent": True,
            },
        ]
    return {
        "grid": {"left": 56, "right": 14, "top": 30, "bottom": 52},
        "legend": _legend(list(lines)),
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": _axis(type="category", data=[f"{x:g}" for x in xs]),
        "yAxis": _axis(unit, type="value", scale=True),
        "series": series,
    }

"""Reports: what went into the last report, how good its models are, its figures, and its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from nicegui import ui

from activitymodule.errors import DataError
from activitymodule.settings import resolve
from activitymodule.workflows.reports.files import FEATURES, INGESTION, NOT_TRAINED, report_files
from activitymodule.workflows.retention.results import size_text
from annotation import context, exports, frame
from annotation.auth import User

_ICON = '<path d="M5 3.5h10l4 4V20.5H5z"/><path d="M14.5 3.5V8H19M8.5 17v-3M12 17v-6M15.5 17v-4.5"/>'
Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | float | int | bool | None"


@frame.page("/reports", "Reports", icon=_ICON, group="People", order=26)
async def reports(_: User) -> None:
    """The last report, from its files."""
    folder = resolve(context.settings().reports.folder)
    found = await context.run(report_files, folder)
    if "metrics.json" not in found:
        exports.nothing_yet(
            "No report yet", "A report has data, metrics and figures of every model on daily records."
        )
        return
    if INGESTION in found:
        _summary("Daily records", await _part(found[INGESTION], "daily_records"))
    if FEATURES in found:
        for name in ("daily_records", "personas", "retention"):
            _summary(f"Features: {_words(name).lower()}", await _part(found[FEATURES], name))
        _not_trained(await _part(found[FEATURES], NOT_TRAINED))
    await _metrics()
    await _size_study()
    _figures([name for name in found if name.endswith(".png")])
    _downloads(found)


def _read(path: Path) -> Json:
    try:
        read: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. `activity report` makes it again.") from error
    return read


async def _part(path: Path, name: str) -> Json:
    content = await context.run(_read, path)
    return content.get(name) if isinstance(content, Mapping) else None


def _summary(title: str, content: Json) -> None:
    """The figures of a summary, and what it lists, as a table."""
    if not isinstance(content, Mapping):
        return
    plain = [(key, value) for key, value in content.items() if not isinstance(value, Mapping | list)]
    with frame.panel(title):
        frame.stats([(_words(key), _figure(value), "") for key, value in plain if value is not None])
        for key, value in content.items():
            if isinstance(value, Mapping) and value:
                with frame.folded(_words(key)):
                    frame.table(
                        [_words(key), ""],
                        [[escape(str(name)), escape(_figure(one))] for name, one in value.items()],
                        numeric=frozenset({1}),
                    )


def _not_trained(content: Json) -> None:
    """Models without figures, and why."""
    if not isinstance(content, Mapping):
        return
    with frame.panel("Not trained", note="models that these daily records are too few for"):
        frame.table(
            ["Model", "Reason"],
            [[escape(_words(name)), escape(str(reason))] for name, reason in content.items()],
        )


def _words(key: str) -> str:
    return key.replace("_", " ").capitalize()


def _figure(value: Json) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)


async def _metrics() -> None:
    found = await exports.rows("metrics")
    if found is None or not found.num_rows:
        return
    with frame.panel("Metrics", note="with 95 % intervals where there are any"):
        for model, rows in groupby(found.to_pylist(), key=lambda one: str(one["model"])):
            frame.heading(model, 3)
            frame.table(
                ["Family", "Data", "Figure", "Value", "95 % interval", "People"],
                [
                    [
                        escape(one["family"]),
                        frame.chip(one["data"], "warn" if one["data"] == "synthetic" else ""),
                        escape(one["figure"])
                        + (f'<div class="note">{escape(one["note"])}</div>' if one["note"] else ""),
                        f"{one['value']:,.3f}",
                        "-" if one["low"] is None else f"{one['low']:,.3f} to {one['high']:,.3f}",
                        "-" if one["people"] is None else f"{one['people']:,}",
                    ]
                    for one in rows
                ],
                numeric=frozenset({3, 4, 5}),
            )


async def _size_study() -> None:
    found = await exports.rows("size_study")
    if found is None:
        return
    names = found.column_names
    with frame.panel("Size study", note="one forest, made smaller"):
        frame.table(
            [_words(name) for name in names],
            [[escape(_figure(row[name])) for name in names] for row in found.to_pylist()],
            numeric=frozenset(k for k, name in enumerate(names) if name not in ("model", "variant", "data")),
        )


def _figures(names: list[str]) -> None:
    if not names:
        return
    with frame.panel("Figures"), frame.grid(420):
        for name in names:
            title = _words(Path(name).stem.replace("-", "_"))
            ui.html(
                f'<figure style="margin: 0"><a href="/reports/files/{name}"><img src="/reports/files/{name}" '
                f'alt="{escape(title)}" loading="lazy" style="width: 100%; max-height: 320px; object-fit: contain; '
                'border-radius: 8px; background: #fff"></a>'
                f'<figcaption class="note">{escape(title)}</figcaption></figure>',
                sanitize=False,
            )


def _downloads(found: Mapping[str, Path]) -> None:
    with frame.panel("Files", note="of the last report"):
        frame.table(
            ["File", "Size"],
            [
                [
                    f'<a href="/reports/files/{name}" download>{escape(name)}</a>',
                    size_text(path.stat().st_size),
                ]
                for name, path in found.items()
            ],
            numeric=frozenset({1}),
        )

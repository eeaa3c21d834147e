"""A guessed mapping as YAML: every line with the reason why it is so."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import datetime
from pathlib import Path, PurePosixPath

import numpy as np

from activitymodule.telemetry.sources.tables.layout import Layout
from activitymodule.telemetry.sources.tables.names import PathGuess, path_of
from activitymodule.telemetry.sources.tables.roles import (
    FORMATS,
    OTHERS,
    Columns,
    Triple,
    date_and_time,
    gravity_unit,
    one_of,
    time_of,
    triples,
)


def written(
    path: Path, file: str, columns: Columns, layout: Layout | None, alike: list[str], tables: int
) -> str:
    """The mapping for a file of a path, line by line with its reasons.

    alike : the names of the files of its kind; tables : how many there are in all
    """
    label, person = one_of(columns, "label"), one_of(columns, "person")
    lines = [
        f"# A guess for {path.name}. Read every line, above all those with CHECK, then run",
        f"# activity prepare table {path.name} --map THIS_FILE",
        f"name: {_name(path)}",
    ]
    if tables > 1:
        glob = re.sub(r"\d+", "*", PurePosixPath(file).name) if len(alike) > 1 else PurePosixPath(file).name
        lines.append(f"files: {_json(glob)}  # {len(alike)} of {tables} tables")
    names = path_of(alike, label is not None)
    use_path = names.pattern is not None and (person is None or "label" in names.found)
    if use_path and names.pattern is not None:
        said = "; ".join(f"{role} {', '.join(values[:4])}" for role, values in names.found.items())
        lines.append(f"path: {_quoted(names.pattern)}  # CHECK: {said}")
    if person is not None:
        columns.used.add(person)
        lines.append(f"person: {{column: {_json(person)}}}  # by its name")
    elif "person" not in names.found:
        lines.append(
            f"person: {{value: {_json(_stem(file))}}}  # CHECK: no column and no name says who it is"
        )
    if layout is not None:
        lines += _format(layout)
    lines += _time(columns, layout)
    lines += _sensors(columns)
    channels = [(what, one_of(columns, what)) for what in OTHERS]
    if any(column for _, column in channels):
        lines.append("channels:")
        lines += [_channel(columns, what, column) for what, column in channels if column]
    if label is not None:
        columns.used.add(label)
        lines.append(f"label: {{column: {_json(label)}}}  # by its name")
    lines += _labels(columns, file, label, names if use_path else PathGuess(None, {}))
    lines += ["# device_model: ...  # CHECK: such as Empatica E4; a profile of it turns its axes"]
    others = [name for name in columns.names if name not in columns.used]
    if others:
        lines.append(f"# left out: {', '.join(others[:30])}")
    return "\n".join(lines) + "\n"


def _name(path: Path) -> str:
    stem = re.sub(r"(\.tar)?\.[A-Za-z0-9]+$", "", path.name)
    return _json(re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:60] or "recordings")


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _stem(name: str) -> str:
    return PurePosixPath(name).name.split(".")[0] or "person"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _format(layout: Layout) -> list[str]:
    found = []
    if layout.delimiter != ",":
        shown = {"\t": "tab", " ": "whitespace"}.get(layout.delimiter, layout.delimiter)
        found.append(f"  delimiter: {_json(shown)}  # {layout.reasons['delimiter']}")
    if layout.decimal == ",":
        found.append(f'  decimal: ","  # {layout.reasons["decimal"]}')
    if layout.encoding != "utf-8":
        found.append(f"  encoding: {layout.encoding}  # {layout.reasons['encoding']}")
    if layout.skip_rows:
        found.append(f"  skip_rows: {layout.skip_rows}  # lines before the table")
    if layout.header_rows != 1:
        why = "the first line is data" if not layout.header_rows else "lines before the data"
        found.append(f"  header_rows: {layout.header_rows}  # {why}")
    if layout.row_end:
        found.append(f"  row_end: {_json(layout.row_end)}  # every line ends with it")
    return ["format:", *found] if found else []


def _time(columns: Columns, layout: Layout | None) -> list[str]:
    """The lines of `time`."""
    found = time_of(columns)
    apart = date_and_time(columns)
    if apart is not None and (not found or found[0][0] > 1):
        columns.used |= set(apart)
        texts = [" ".join(pair) for pair in zip(*(columns.texts[name] for name in apart), strict=True)]
        iso = re.match(r"\d{4}-", texts[0]) is not None
        return [
            "time:",
            f"  is: local  # {texts[0]} has no offset",
            f"  columns: [{', '.join(map(_json, apart))}]  # date and time apart",
            *_zone(),
            *([] if iso else [_strptime(texts)]),
        ]
    if not found:
        rate = layout.rate_hz if layout else None
        why = "the lines before the table say so" if rate else "CHECK: nothing says the rate; 50 is a guess"
        return ["time:", "  is: rows  # no column looks like a time", f"  rate_hz: {rate or 50:g}  # {why}"]
    _, column, kind, reason = found[0]
    columns.used.add(column)
    lines = [
        "time:",
        f"  is: {'local' if kind == 'format' else kind}  # {reason}",
        f"  column: {_json(column)}",
    ]
    if kind in ("local", "format"):
        lines += _zone()
    if kind == "format":
        lines.append(_strptime(columns.texts[column]))
    elif column in columns.numbers:
        values = columns.numbers[column]
        step = np.diff(values[np.isfinite(values)])
        if len(step) > 20 and step.mean() > 0 and (step < 0.3 * step.mean()).mean() > 0.4:
            lines.append("  spread: true  # times come in bursts: they are those of arrival")
    return lines


def _zone() -> list[str]:
    return ["  zone: UTC  # CHECK: the zone of the watch, such as Europe/Madrid"]


def _strptime(texts: list[str]) -> str:
    """The line that says how local times are written."""
    known = [one for one in FORMATS if _parses(texts, one)]
    why = f"also possible: {known[1]}" if len(known) > 1 else "reads every time"
    return f"  format: {_json(known[0] if known else FORMATS[1])}  # {why if known else 'CHECK: none known fits'}"


def _parses(texts: list[str], form: str) -> bool:
    try:
        for text in texts[:: max(1, len(texts) // 200)]:
            datetime.strptime(text.strip(), form)
    except ValueError:
        return False
    return True


def _sensors(columns: Columns) -> list[str]:
    lines: list[str] = []
    found = triples(columns)
    known = {one.sensor for one in found}
    by_sensor: dict[str, list[Triple]] = defaultdict(list)
    for one in found:
        by_sensor[one.sensor].append(one)
    for one in by_sensor["acceleration"][:1]:
        unit = gravity_unit(one.size)
        pull = by_sensor["gravity"][0] if "gravity" in known else None
        if pull is not None and (unit is None or one.size < 0.8):
            unit_name, scale = (gravity_unit(pull.size) or ("g", None))[0], None
            gravity = "removed  # a sensor of gravity stands beside it"
        elif unit is not None:
            (unit_name, scale), gravity = (
                unit,
                f"included  # at rest its length is that of gravity: {one.size:.4g}",
            )
        else:
            unit_name, scale = ("m/s2" if one.size > 0.5 else "g"), None
            gravity = (
                f"removed  # CHECK: its usual length, {one.size:.3g}, is not that of gravity in a known unit"
            )
        lines += [f"acceleration:  # {one.reason}", *_axes(one, columns), f"  unit: {unit_name}"]
        if scale:
            lines.append(f"  scale: {scale}  # g per count: {one.size:.4g} is 1 g")
        lines.append(f"  gravity: {gravity}")
        sign, why = _sign(columns, one, pull, unit_name)
        lines.append(f"  sign: {sign}  # CHECK: {why}")
        if pull is not None:
            pull_unit = (gravity_unit(pull.size) or ("g", None))[0]
            lines += ["gravity:", *_axes(pull, columns), f"  unit: {pull_unit}", f"  sign: {sign}"]
    for one in by_sensor["rotation"][:1]:
        values = np.abs(np.concatenate([columns.numbers[name] for name in (one.x, one.y, one.z)]))
        most = float(np.nanpercentile(values, 99))
        unit_name = "deg/s" if most > 20 else "rad/s"
        lines += [
            f"rotation:  # {one.reason}",
            *_axes(one, columns),
            f"  unit: {unit_name}  # 99 % are below {most:.3g}",
        ]
    return lines


def _sign(columns: Columns, one: Triple, pull: Triple | None, unit: str) -> tuple[str, str]:
    """The likely sign, and why: a watch that lies face up reads z = -1 g with Core Motion, z = +1 g with Android."""
    if pull is not None and unit == "g":
        return "core_motion", "gravity and acceleration apart, both in g, are Core Motion's"
    up = float(np.nanmedian(columns.numbers[pull.z if pull else one.z]))
    if unit == "m/s2":
        return "android", f"m/s2 is Android's unit (z is {up:.3g} in the middle; face up it reads +9.8)"
    sign = "core_motion" if up < 0 else "android"
    return sign, f"z is {up:.3g} in the middle; face up, Core Motion reads -1 g and Android +1 g"


def _axes(one: Triple, columns: Columns) -> list[str]:
    columns.used |= {one.x, one.y, one.z}
    return [f"  {axis}: {_json(name)}" for axis, name in (("x", one.x), ("y", one.y), ("z", one.z))]


def _channel(columns: Columns, what: str, column: str) -> str:
    columns.used.add(column)
    values = columns.numbers[column]
    values = values[np.isfinite(values)]
    if what == "steps" and len(values) > 3 and (np.diff(values) >= 0).all() and values[-1] > 10:
        return f"  {what}: {{column: {_json(column)}, cumulative: true}}  # it never falls: a counter"
    return f"  {what}: {_json(column)}"


def _labels(columns: Columns, file: str, label: str | None, names: PathGuess) -> list[str]:
    if label is not None:
        given = columns.texts.get(label) or [f"{v:g}" for v in columns.numbers[label] if np.isfinite(v)]
        where = f"the labels at the beginning of {PurePosixPath(file).name}; add the others"
    elif "label" in names.found:
        given, where = names.found["label"], "the labels in the names of files"
    else:
        return []
    labels = [one for one in dict.fromkeys(given) if one.strip()]
    lines = [f"labels:  # CHECK: what each is called here (null: no activity); {where}"]
    return lines + [f"  {_json(one)}: {_activity(one)}" for one in labels]


def _activity(label: str) -> str:
    none = label.strip().lower() in (
        "null",
        "none",
        "nan",
        "0",
        "other",
        "unknown",
        "undefined",
        "unlabeled",
        "-",
    )
    return "null" if none else _json(label.strip().lower())

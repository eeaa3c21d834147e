"""index.html: the whole report as one page that works from a file, without a server and without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from activitymodule import files
from activitymodule.workflows.reports.document import document, table
from activitymodule.workflows.reports.files import INDEX, report_files
from activitymodule.workflows.reports.metrics import Metric


def write_page(
    folder: Path, title: str, summaries: Mapping[str, Mapping[str, object]], metrics: Sequence[Metric]
) -> None:
    """Write index.html beside the other files of the report, which it shows or links to.

    summaries : heading -> name -> value
    """
    body = [f"<h1>{escape(title)}</h1>"]
    if any(one.data == "synthetic" for one in metrics):
        body.append(
            '<p class="warn">Figures marked <b>synthetic</b> are of generated people. They say how well the models '
            "find what was put into the generator, not how well they do on real people.</p>"
        )
    for heading, values in summaries.items():
        body.append(f"<h2>{escape(heading)}</h2>")
        body.append(table(["", ""], [[name, _shown(value)] for name, value in values.items()], {1}))
    note = "With 95 % intervals where there are any." if metrics else "No model was trained."
    body.append(f'<h2>Metrics</h2><p class="note">{note}</p>')
    for model, rows in groupby(metrics, key=lambda one: one.model):
        body.append(f"<h3>{escape(model)}</h3>")
        body.append(
            table(
                ["Family", "Data", "Figure", "Value", "95 % interval", "People"],
                [_row(one) for one in rows],
                {3, 4, 5},
            )
        )
    found = report_files(folder)
    pictures = [name for name in found if name.endswith(".png")]
    if pictures:
        figures = "".join(
            f'<figure><img src="{name}" alt="{escape(_title(name))}"><figcaption class="note">{escape(_title(name))}'
            "</figcaption></figure>"
            for name in pictures
        )
        body.append(f'<h2>Figures</h2><div class="figures">{figures}</div>')
    links = "".join(f'<li><a href="{name}">{name}</a></li>' for name in found if name != INDEX)
    body.append(f"<h2>Files</h2><ul>{links}</ul>")
    files.write_text(folder / INDEX, document(title, body))


def _title(name: str) -> str:
    return Path(name).stem.replace("-", " ").capitalize()


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"
        case Mapping():
            return "; ".join(f"{key}: {_shown(one)}" for key, one in value.items()) or "none"
        case list():
            return ", ".join(_shown(one) for one in value) or "none"
    return "-" if value is None else str(value)


def _row(one: Metric) -> list[str]:
    interval = "-" if one.low is None or one.high is None else f"{_shown(one.low)} to {_shown(one.high)}"
    figure = f"{one.figure} ({one.note})" if one.note else one.figure
    return [one.family, one.data, figure, _shown(one.value), interval, _shown(one.people)]

"""index.html: the whole report as one page that works from a file, without a server and without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from activitymodule import files
from activitymodule.workflows.reports.files import INDEX, report_files
from activitymodule.workflows.reports.metrics import Metric

_STYLE = """
:root { color-scheme: light dark; --line: #d5dae2; --muted: #565f6d; --ground: #fff; --text: #1b2028; --soft: #eef0f4; }
@media (prefers-color-scheme: dark) {
  :root { --line: #2c333e; --muted: #a3acb9; --ground: #12151a; --text: #e7eaef; --soft: #1a1e25; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 1080px; padding: 20px; color: var(--text);
  background: var(--ground); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
.wrap { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--muted); font-size: .85rem; } .num { text-align: right; font-variant-numeric: tabular-nums; }
.note { color: var(--muted); font-size: .9rem; }
.warn { background: var(--soft); border-left: 4px solid #e1780f; padding: 8px 12px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px; }
figure { margin: 0; } img { width: 100%; background: #fff; border-radius: 6px; }
"""


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
        body.append(_table(["", ""], [[name, _shown(value)] for name, value in values.items()], {1}))
    body.append('<h2>Metrics</h2><p class="note">With 95 % intervals where there are any.</p>')
    for model, rows in groupby(metrics, key=lambda one: one.model):
        body.append(f"<h3>{escape(model)}</h3>")
        body.append(
            _table(
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
    files.write_text(
        folder / INDEX,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n",
    )


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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: set[int]) -> str:
    kind = ["class=num" if k in numeric else "" for k in range(len(head))]
    top = "".join(f"<th {kind[k]}>{escape(name)}</th>" for k, name in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(f"<td {kind[k]}>{escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wrap"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'

"""A page that works from a file, without a server and without a network: its style, its tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --line: #d5dae2; --muted: #565f6d; --ground: #fff; --text: #1b2028; --soft: #eef0f4;
  --now: #005ae1; --then: #565f6d; --bad: #c31e1e; }
@media (prefers-color-scheme: dark) {
  :root { --line: #2c333e; --muted: #a3acb9; --ground: #12151a; --text: #e7eaef; --soft: #1a1e25;
    --now: #4b96f0; --then: #a3acb9; --bad: #ff7b72; } }
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


def document(title: str, body: Sequence[str], style: str = "") -> str:
    """The whole page. style : further rules of CSS"""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[int] = ()) -> str:
    """A table of plain text. numeric : places of the columns of numbers"""
    kind = ["class=num" if k in numeric else "" for k in range(len(head))]
    top = "".join(f"<th {kind[k]}>{escape(name)}</th>" for k, name in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(f"<td {kind[k]}>{escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wrap"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'

"""The panel of a watch's page on which a person gives activities to spans of its timeline.

Its script is static/spans.js; the routes it calls are in annotation/api/spans.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from nicegui import ui

from annotation import frame, items
from annotation.palette import colours

ASSETS = ("annotate.css", "review.css", "spans.css", "spans.js")
_RANGES = ((0.25, "15 minutes"), (1, "1 hour"), (6, "6 hours"), (24, "24 hours"))


def span_panel(device: str, labels: Sequence[str], slide_seconds: int) -> None:
    """The panel, which the script fills. labels : those that are offered, by number in this order"""
    start = json.dumps({"device": device, "step": slide_seconds * 1000})
    with frame.panel(
        "Label a span",
        note="what the wearer did, as remembered: it trains models, and never evaluates them",
    ):
        ui.html(
            f'<div class="spans annotate plain" id="spans" data-start="{escape(start)}">{_VIEW}{_LINE}'
            f"{_form(labels)}{_LIST}</div>",
            sanitize=False,
        ).classes("w-full")


_VIEW = f"""
<div class="row-line span-view">
  <button type="button" class="button small" data-move="-1" aria-label="Earlier">&lsaquo;</button>
  <button type="button" class="button small" data-move="1" aria-label="Later">&rsaquo;</button>
  <button type="button" class="button small" data-move="0">Newest</button>
  <label class="small" for="span-range">Show</label>
  <select id="span-range" class="span-field">{
    "".join(
        f'<option value="{hours}"{" selected" if hours == 1 else ""}>{words}</option>'
        for hours, words in _RANGES
    )
}</select>
  <span class="note span-when"></span>
</div>"""
_LINE = """
<div class="span-line" id="span-line">
  <div class="span-lane predicted"><b>predicted</b></div>
  <div class="span-lane labelled"><b>labelled</b></div>
  <div class="span-ticks" aria-hidden="true"></div>
  <div class="span-chosen" hidden>
    <button type="button" class="grip" data-end="0" role="slider" aria-label="Begin of the span"></button>
    <button type="button" class="grip" data-end="1" role="slider" aria-label="End of the span"></button>
  </div>
</div>"""
_LIST = """
<div class="span-list" aria-label="Spans in this range"></div>
<div class="toast" role="status" aria-live="polite"></div>"""


def _form(labels: Sequence[str]) -> str:
    letters, shades = items.label_key(tuple(labels)), colours(labels)
    buttons = "".join(
        f'<button type="button" class="label" data-label="{escape(label)}" data-key="{escape(key)}" '
        f'aria-pressed="false" aria-keyshortcuts="{escape(key)}" style="--c:{shades[label]}"><kbd>{escape(key)}</kbd>'
        f'<span class="word">{escape(label)}</span></button>'
        for place, label in enumerate(labels)
        for key in (str(place + 1) if place < 9 else letters.get(label, ""),)
    )
    known = "".join(f'<option value="{escape(label)}">' for label in labels)
    return f"""
<form class="span-form" id="span-form" novalidate>
  <div class="span-times">
    <div class="field"><label for="span-from">From</label>
      <input id="span-from" type="datetime-local" step="1" required></div>
    <div class="field"><label for="span-to">To</label>
      <input id="span-to" type="datetime-local" step="1" required></div>
    <span class="note span-length"></span>
  </div>
  <div class="labels" role="group" aria-label="Activity of the span">{buttons}</div>
  <div class="span-times">
    <div class="field"><label for="span-other">Another activity</label>
      <input id="span-other" list="span-known" maxlength="60" autocomplete="off" spellcheck="false">
      <datalist id="span-known">{known}</datalist></div>
    <div class="field grow"><label for="span-note">Note</label>
      <input id="span-note" maxlength="500" autocomplete="off" placeholder="optional"></div>
    <button type="submit" class="button primary" disabled>Save</button>
    <button type="button" class="button" data-act="undo">Undo last</button>
  </div>
  <p class="note span-help">Drag over the timeline, click a predicted bout, or type the times; then choose the activity.
    <span class="keys">Its number chooses, <kbd>Enter</kbd> saves; arrow keys move the ends, <kbd>Esc</kbd> clears,
    <kbd>z</kbd> undoes.</span></p>
</form>"""

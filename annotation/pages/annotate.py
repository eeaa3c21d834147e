"""The page for labelling windows.

Its script (static/annotate.js) keeps the next items ready, so that choosing a label shows the next window at once; the
answer is sent in the background. The routes it calls are in annotation/api/labelling.py.
"""

from __future__ import annotations

import json
from html import escape

from nicegui import ui

from annotation import context, frame, items
from annotation.auth import User
from annotation.palette import colours

_ICON = '<path d="M3 12h3l2-6 4 13 3-9 2 4h4"/>'
_KEYS = (
    ("1 … 9", "choose the label with this number"),
    ("letters", "choose the label by its underlined letter"),
    ("o", "type another label"),
    ("s", "skip: leave the window to another annotator"),
    ("u", "unsure: the activity cannot be determined"),
    ("f", "flag: something is wrong with this window (n: with a note)"),
    ("z", "undo the last answer, up to ten"),
    ("b", "label similar windows of this person together"),
    ("h", "hide or show the model's prediction"),
    ("?", "show these keys"),
)
_OTHER_COLOUR = "#7d8794"


@frame.page(
    "/annotate",
    "Annotate",
    icon=_ICON,
    group="Labels",
    order=10,
    wide=True,
    assets=("annotate.css", "annotate.js"),
)
async def annotate(who: User) -> None:
    """The frame that the script fills."""
    config = context.settings()
    known, others = await context.run_read(lambda connection: items.labels_for(connection, config))
    if not known:
        frame.empty(
            "No champion yet",
            "Labelling starts once a model is trained and windows are scored.",
            ("Next steps", "/"),
        )
        return
    start = json.dumps({"renew": config.queue.lease_minutes * 60 / 3, "who": who.name})
    ui.html(
        f'<div class="annotate" id="annotate" data-start="{escape(start)}" aria-busy="true">'
        f"{_SIGHT}{_choices(known, others)}{_NOTHING}{_dialogs((*known, *others))}</div>",
        sanitize=False,
    ).classes("w-full")


_SIGHT = """
<div class="top">
  <div class="subject"><h2 class="device">&nbsp;</h2><span class="when"></span><span class="figures"></span></div>
  <div class="hour" title="Your labels in this clock hour, and the goal">
    <span class="count"></span><span class="meter" role="progressbar" aria-label="Goal of the hour"><i></i></span>
  </div>
</div>
<div class="sight">
  <div class="plot" id="plot"><div class="waiting">Loading …</div></div>
  <div class="below">
    <section class="around"><h3>Activities before and after</h3><div class="strip-place"></div></section>
    <section class="like"><h3>Similar labelled windows</h3><div class="tiles"></div></section>
  </div>
</div>"""
_NOTHING = """
<div class="nothing" hidden>
  <h2>No windows to label</h2>
  <p class="why">All queued windows are answered or held by other annotators. The scorer adds new ones within its
    hourly budget. This page checks again every few seconds.</p>
  <p><button type="button" class="button" data-act="undo"><kbd>z</kbd> Undo last answer</button></p>
</div>
<div class="toast" role="status" aria-live="polite"></div>
<div class="sr" aria-live="polite" id="spoken"></div>"""


def _choices(known: tuple[str, ...], others: tuple[str, ...]) -> str:
    """The label buttons and the other answers."""
    acts = "".join(
        _act(key, words, act)
        for key, words, act in (
            ("s", "skip", "skip"),
            ("u", "unsure", "unsure"),
            ("f", "flag", "flag"),
            ("z", "undo", "undo"),
            ("b", "similar", "bulk"),
            ("h", "hide model", "hide"),
            ("?", "keys", "help"),
        )
    )
    return (
        f'<div class="choose"><p class="hidden-note" hidden></p>'
        f'<div class="labels" role="group" aria-label="Labels">{_label_buttons(known, others)}</div>'
        f'<div class="acts" role="group" aria-label="Other answers">{acts}</div></div>'
    )


def _label_buttons(known: tuple[str, ...], others: tuple[str, ...]) -> str:
    letters = items.label_key((*known, *others))
    shown = colours((*known, *others))
    buttons = []
    for place, label in enumerate((*known, *others)):
        number = str(place + 1) if place < 9 else ""
        letter = letters.get(label, "")
        keys = " ".join(filter(None, (number, letter)))
        buttons.append(
            f'<button type="button" class="label" data-label="{escape(label)}" data-number="{number}" '
            f'data-letter="{letter}" aria-keyshortcuts="{keys}" style="--c:{shown[label]}">'
            f'<kbd>{number or letter or "&nbsp;"}</kbd><span class="word">{_underlined(label, letter)}</span>'
            '<span class="bar"><i></i></span><span class="share"></span></button>'
        )
    buttons.append(
        '<button type="button" class="label other" data-act="other" aria-keyshortcuts="o" '
        f'style="--c:{_OTHER_COLOUR}"><kbd>o</kbd><span class="word">other …</span></button>'
    )
    return "".join(buttons)


def _underlined(label: str, letter: str) -> str:
    place = label.lower().find(letter) if letter else -1
    if place < 0:
        return escape(label)
    return f"{escape(label[:place])}<u>{escape(label[place])}</u>{escape(label[place + 1 :])}"


def _act(key: str, words: str, act: str) -> str:
    return (
        f'<button type="button" class="act" data-act="{act}" aria-keyshortcuts="{key}">'
        f"<kbd>{key}</kbd>{escape(words)}</button>"
    )


def _dialogs(labels: tuple[str, ...]) -> str:
    """Keys, another label, a flag's note, similar windows."""
    keys = "".join(f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(words)}</dd>" for key, words in _KEYS)
    known = "".join(f'<option value="{escape(label)}">' for label in labels)
    return f"""
<dialog id="keys" aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2><dl>{keys}</dl>
  <form method="dialog"><button class="button primary" autofocus>Close</button></form></dialog>
<dialog id="other" aria-labelledby="other-title"><form method="dialog"><h2 id="other-title">Another label</h2>
  <div class="field"><label for="other-label">Label</label>
    <input id="other-label" list="known-labels" maxlength="60" autocomplete="off" spellcheck="false">
    <datalist id="known-labels">{known}</datalist></div>
  <p class="note">A new label is saved. A later champion learns it once there are enough examples.</p>
  <div class="row-line"><button class="button primary" value="ok">Use label</button>
    <button class="button" value="" type="submit" formnovalidate>Cancel</button></div></form></dialog>
<dialog id="note" aria-labelledby="note-title"><form method="dialog"><h2 id="note-title">Flag this window</h2>
  <div class="field"><label for="note-words">What is wrong with it?</label>
    <input id="note-words" maxlength="500" autocomplete="off"></div>
  <div class="row-line"><button class="button primary" value="ok">Flag</button>
    <button class="button" value="">Cancel</button></div></form></dialog>
<dialog id="bulk" aria-labelledby="bulk-title"><h2 id="bulk-title">Similar windows of this person</h2>
  <p class="note">Select the windows that show the same activity: click, or <kbd>Tab</kbd> and <kbd>Space</kbd>. One
    key then labels all selected windows and the current one. Audit windows are never included.</p>
  <div class="tiles" id="bulk-tiles"></div>
  <div class="labels" id="bulk-labels" role="group" aria-label="Label for all"></div>
  <p><button type="button" class="button" data-act="bulk-close"><kbd>Esc</kbd> Cancel</button></p></dialog>"""

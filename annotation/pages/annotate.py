"""The page on which windows are labelled, and the few routes its script talks to.

The script (static/annotate.js) holds the next items ready, so that choosing a label shows the next window at once;
the answer travels meanwhile. Every rule is kept by the store (store/leases.py, store/answers.py), none by the script.
"""

from __future__ import annotations

import json
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from nicegui import ui
from pydantic import BaseModel, Field

from activitymodule.store import answers, leases
from activitymodule.store import items as store_items
from activitymodule.store.connection import Connection
from annotation import context, frame, items
from annotation.auth import User
from annotation.palette import colours

LEAST_WIDTH, MOST_WIDTH = 280, 1600

router = APIRouter(prefix="/annotate", include_in_schema=False)


def signed_in(request: Request) -> User:
    """Who asks; the gate has let nobody else in, but a token is no person."""
    from fastapi import HTTPException

    user = getattr(request.state, "user", None)
    if user is None:
        raise HTTPException(401, "sign in first")
    return user


Who = Annotated[User, Depends(signed_in)]
Pixels = Annotated[int, Query(ge=0, le=10_000)]


class Answered(BaseModel):
    """An answer as the script sends it."""

    item_id: int
    answer: answers.Answer
    label: str | None = Field(None, max_length=200)
    seconds: float | None = None
    model_hidden: bool = False
    note: str | None = Field(None, max_length=2000)


class Together(BaseModel):
    """One label for several windows."""

    item_ids: list[int] = Field(max_length=100)
    label: str = Field(max_length=200)
    seconds: float | None = None
    model_hidden: bool = False


class Held(BaseModel):
    """Items that are given back, or held on to."""

    item_ids: list[int] = Field(max_length=100)


def _minutes() -> float:
    return context.settings().queue.lease_minutes


def _progress(connection: Connection, who: User) -> dict[str, Any]:
    state = answers.progress(connection, who.name)
    return {
        "hour": state.answered,
        "today": state.labelled_today,
        "waiting": state.waiting,
        "goal": context.settings().console.items_per_hour_goal,
    }


@router.get("/next")
async def next_item(who: Who, width: Pixels = 900, height: Pixels = 0, besides: str = "") -> dict[str, Any]:
    """Lease one more item and make it ready; `besides`: the numbers of those on the screen."""
    shown = [int(one) for one in besides.split(",")[:20] if one.isdigit()]

    def work(connection: Connection) -> dict[str, Any]:
        item = leases.lease_next(connection, who.name, _minutes(), besides=shown)
        connection.commit()  # the lease holds; what follows only reads
        ready = _ready(connection, item, width, height) if item else None
        return {"item": ready, "progress": _progress(connection, who)}

    return await context.run_write(work)


def _ready(connection: Connection, item: store_items.Item, width: int, height: int) -> dict[str, Any]:
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    return items.prepared(connection, context.settings(), item, width, min(height, MOST_WIDTH))


@router.post("/answer")
async def give_answer(who: Who, given: Answered) -> dict[str, Any]:
    """Keep an answer; 409 where the item is another's by now, 422 for a label that cannot be."""

    def work(connection: Connection) -> dict[str, Any]:
        answers.answer(
            connection,
            given.item_id,
            who.name,
            given.answer,
            given.label,
            minutes=_minutes(),
            seconds=given.seconds,
            model_hidden=given.model_hidden,
            note=given.note,
        )
        return _progress(connection, who)

    return {"progress": await context.run_write(work)}


@router.post("/undo")
async def take_back(who: Who, width: Pixels = 900, height: Pixels = 0) -> dict[str, Any]:
    """Take back the last answer; the item comes back, ready to be shown."""

    def work(connection: Connection) -> dict[str, Any]:
        undone = answers.undo(connection, who.name, _minutes())
        connection.commit()
        ready = None
        if undone and undone.held:
            ready = _ready(connection, store_items.get_item(connection, undone.held[0]), width, height)
        return {
            "undone": None
            if undone is None
            else {"answer": undone.answer, "label": undone.label, "n": len(undone.items)},
            "item": ready,
            "progress": _progress(connection, who),
        }

    return await context.run_write(work)


@router.post("/renew")
async def hold_on(who: Who, held: Held) -> dict[str, Any]:
    """Hold items for longer; says which are still the annotator's."""
    return {
        "held": await context.run_write(
            lambda connection: leases.lease_these(connection, held.item_ids, who.name, _minutes())
        )
    }


@router.post("/release")
async def give_back(who: Who, held: Held) -> dict[str, Any]:
    """Give items back unanswered: the page was left."""
    await context.run_write(lambda connection: leases.release(connection, held.item_ids, who.name))
    return {}


@router.get("/similar/{item_id}")
async def similar(who: Who, item_id: int) -> dict[str, Any]:
    """Open windows of the same watch like this one, held for the annotator, as small pictures."""

    def work(connection: Connection) -> dict[str, Any]:
        item = store_items.get_item(connection, item_id)
        return {"tiles": items.bulk(connection, item, who.name, _minutes())}

    return await context.run_write(work)


@router.post("/together")
async def label_together(who: Who, given: Together) -> dict[str, Any]:
    """One label for several windows after a look; says which took it."""

    def work(connection: Connection) -> dict[str, Any]:
        taken = answers.answer_many(
            connection,
            given.item_ids,
            who.name,
            given.label,
            minutes=_minutes(),
            seconds=given.seconds,
            model_hidden=given.model_hidden,
        )
        return {"taken": taken, "progress": _progress(connection, who)}

    return await context.run_write(work)


# ---- the page -------------------------------------------------------------------------------------------------

_KEYS = (
    ("1 … 9", "choose the label with that number, and go on"),
    ("letters", "the same, by the letter that is underlined"),
    ("o", "another label: type it"),
    ("s", "skip: somebody else may tell"),
    ("u", "unsure: looked at it, cannot tell"),
    ("f", "flag: something is wrong with this window (n: with a note)"),
    ("z", "take back the last answer, up to ten"),
    ("b", "similar windows of this person: label them together"),
    ("h", "hide or show what the model says"),
    ("?", "these keys"),
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
        '<button type="button" class="label other" data-act="other" aria-keyshortcuts="o" style="--c:#7d8794">'
        '<kbd>o</kbd><span class="word">other …</span></button>'
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


@frame.page("/annotate", "Annotate", wide=True)
async def annotate(who: User) -> None:
    config = context.settings()
    known, others = await context.run_read(lambda connection: items.labels_for(connection, config))
    if not known:
        frame.empty(
            "There is no champion yet",
            "Windows can be labelled once a model has been trained and windows are scored.",
            ("What to do first", "/"),
        )
        return
    ui.add_head_html(
        f'<link rel="stylesheet" href="{frame.asset("annotate.css")}">'
        f'<script defer src="{frame.asset("annotate.js")}"></script>'
    )
    keys = "".join(f"<dt><kbd>{escape(key)}</kbd></dt><dd>{escape(words)}</dd>" for key, words in _KEYS)
    known_labels = "".join(f'<option value="{escape(label)}">' for label in (*known, *others))
    start = json.dumps({"renew": config.queue.lease_minutes * 60 / 3, "who": who.name})
    ui.html(
        f"""
<div class="annotate" id="annotate" data-start="{escape(start)}" aria-busy="true">
  <div class="top">
    <div class="subject"><h2 class="device">&nbsp;</h2><span class="when"></span><span class="figures"></span></div>
    <div class="hour" title="Labels of yours in this clock hour, and the goal">
      <span class="told"></span><span class="meter" role="progressbar" aria-label="Goal of the hour"><i></i></span>
    </div>
  </div>
  <div class="sight">
    <div class="plot" id="plot"><div class="waiting">Looking for a window …</div></div>
    <div class="below">
      <section class="around"><h3>This person around it</h3><div class="strip-place"></div></section>
      <section class="like"><h3>Labelled windows like it</h3><div class="tiles"></div></section>
    </div>
  </div>
  <div class="choose">
    <p class="hidden-note" hidden></p>
    <div class="labels" role="group" aria-label="Labels">{_label_buttons(known, others)}</div>
    <div class="acts" role="group" aria-label="Other answers">
      {_act("s", "skip", "skip")}{_act("u", "unsure", "unsure")}{_act("f", "flag", "flag")}{_act("z", "undo", "undo")}
      {_act("b", "similar", "bulk")}{_act("h", "hide model", "hide")}{_act("?", "keys", "help")}
    </div>
  </div>
  <div class="nothing" hidden>
    <h2>Nothing waits for you</h2>
    <p class="why">Every window in the queue has its answer, or is in somebody's hands. New ones come as the budget
      of the hour allows; this page looks again by itself.</p>
    <p><button type="button" class="button" data-act="undo"><kbd>z</kbd> take back my last answer</button></p>
  </div>
  <div class="toast" role="status" aria-live="polite"></div>
  <div class="sr" aria-live="polite" id="spoken"></div>
  <dialog id="keys" aria-labelledby="keys-title"><h2 id="keys-title">Keys</h2><dl>{keys}</dl>
    <form method="dialog"><button class="button primary" autofocus>Close</button></form></dialog>
  <dialog id="other" aria-labelledby="other-title"><form method="dialog"><h2 id="other-title">Another label</h2>
    <div class="field"><label for="other-label">What is it?</label>
      <input id="other-label" list="known-labels" maxlength="60" autocomplete="off" spellcheck="false">
      <datalist id="known-labels">{known_labels}</datalist></div>
    <p class="note">A label that the champion does not know is kept; a later champion learns it once there are
      enough.</p>
    <div class="row-line"><button class="button primary" value="ok">Use it</button>
      <button class="button" value="" type="submit" formnovalidate>Cancel</button></div></form></dialog>
  <dialog id="note" aria-labelledby="note-title"><form method="dialog"><h2 id="note-title">Flag this window</h2>
    <div class="field"><label for="note-words">What is wrong with it?</label>
      <input id="note-words" maxlength="500" autocomplete="off"></div>
    <div class="row-line"><button class="button primary" value="ok">Flag</button>
      <button class="button" value="">Cancel</button></div></form></dialog>
  <dialog id="bulk" aria-labelledby="bulk-title"><h2 id="bulk-title">Similar windows of this person</h2>
    <p class="note">Look at each; a click (or <kbd>Tab</kbd> and <kbd>Space</kbd>) chooses one or leaves it out. Then
      one key labels all that are framed, and the window you came from. Audit windows are never here.</p>
    <div class="tiles" id="bulk-tiles"></div>
    <div class="labels" id="bulk-labels" role="group" aria-label="Label for all"></div>
    <p><button type="button" class="button" data-act="bulk-close"><kbd>Esc</kbd> back</button></p></dialog>
</div>""",
        sanitize=False,
    ).classes("w-full")

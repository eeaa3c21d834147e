"""The routes that the script of the Annotate page calls: lease, answer, undo, renew, release, label together.

All rules are in the store (store/leases.py, store/answers.py).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from activitymodule.store import answers, leases
from activitymodule.store import items as store_items
from activitymodule.store.connection import Connection
from annotation import context, items
from annotation.access import SignedIn as Who
from annotation.auth import User

LEAST_WIDTH, MOST_WIDTH = 280, 1600

router = APIRouter(prefix="/annotate", include_in_schema=False)


Pixels = Annotated[int, Query(ge=0, le=10_000)]


class Answered(BaseModel):
    """An answer, as the script sends it."""

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
    """Items whose leases are renewed or released."""

    item_ids: list[int] = Field(max_length=100)


def _minutes() -> float:
    return context.settings().queue.lease_minutes


class Renewed(BaseModel):
    """The items that the annotator still holds."""

    held: list[int]


class Progress(BaseModel):
    """Labels of the annotator in this hour and today, open items, and the goal of an hour."""

    hour: int
    today: int
    waiting: int
    goal: int


class Next(BaseModel):
    """The next item; None if there is none."""

    item: items.Prepared | None
    progress: Progress


class Saved(BaseModel):
    """An answer was saved."""

    progress: Progress


class Undone(BaseModel):
    """What was undone: an answer for n windows."""

    answer: answers.Answer
    label: str | None
    n: int


class TakenBack(BaseModel):
    """The result of an undo; `item` is None if another annotator has it now."""

    undone: Undone | None
    item: items.Prepared | None
    progress: Progress


class Similar(BaseModel):
    """Windows to be labelled together."""

    tiles: list[items.Tile]


class LabelledTogether(BaseModel):
    """The items the label was saved for."""

    taken: list[int]
    progress: Progress


def _progress(connection: Connection, who: User) -> Progress:
    state = answers.progress(connection, who.name)
    return Progress(
        hour=state.answered,
        today=state.labelled_today,
        waiting=state.waiting,
        goal=context.settings().console.items_per_hour_goal,
    )


@router.get("/next")
async def next_item(who: Who, width: Pixels = 900, height: Pixels = 0, besides: str = "") -> Next:
    """Lease one more item and prepare it; `besides`: the items that the page has already."""
    shown = [int(one) for one in besides.split(",")[:20] if one.isascii() and one.isdigit() and len(one) < 19]

    def lease(connection: Connection) -> store_items.Item | None:
        return leases.lease_next(connection, who.name, _minutes(), besides=shown)

    # two transactions: where the second fails, the lease is kept
    item = await context.run_write(lease)

    def prepare(connection: Connection) -> Next:
        ready = _ready(connection, item, width, height) if item else None
        return Next(item=ready, progress=_progress(connection, who))

    return await context.run_write(prepare)


def _ready(connection: Connection, item: store_items.Item, width: int, height: int) -> items.Prepared:
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    return items.prepared(connection, context.settings(), item, width, min(height, MOST_WIDTH))


@router.post("/answer")
async def give_answer(who: Who, given: Answered) -> Saved:
    """Save an answer; 409 without a lease of the item, 422 for an invalid label."""

    def work(connection: Connection) -> Progress:
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

    return Saved(progress=await context.run_write(work))


@router.post("/undo")
async def take_back(who: Who, width: Pixels = 900, height: Pixels = 0) -> TakenBack:
    """Undo the last answer; returns its item, ready to be shown."""
    undone = await context.run_write(lambda connection: answers.undo(connection, who.name, _minutes()))

    def prepare(connection: Connection) -> TakenBack:
        ready = None
        if undone and undone.held:
            ready = _ready(connection, store_items.get_item(connection, undone.held[0]), width, height)
        return TakenBack(
            undone=undone and Undone(answer=undone.answer, label=undone.label, n=len(undone.items)),
            item=ready,
            progress=_progress(connection, who),
        )

    return await context.run_write(prepare)


@router.post("/renew")
async def hold_on(who: Who, asked: Held) -> Renewed:
    """Renew leases; returns the items that are still the annotator's."""
    held = await context.run_write(
        lambda connection: leases.renew(connection, asked.item_ids, who.name, _minutes())
    )
    return Renewed(held=held)


@router.post("/release")
async def give_back(who: Who, asked: Held) -> None:
    """Release items unanswered: the page was left."""
    await context.run_write(lambda connection: leases.release(connection, asked.item_ids, who.name))


@router.get("/similar/{item_id}")
async def similar(who: Who, item_id: int) -> Similar:
    """Open windows of the same watch like this one, leased for the annotator, as small pictures; 409 for an audit
    window."""

    def work(connection: Connection) -> Similar:
        item = store_items.get_item(connection, item_id)
        return Similar(tiles=items.bulk(connection, item, who.name, _minutes()))

    return await context.run_write(work)


@router.post("/together")
async def label_together(who: Who, given: Together) -> LabelledTogether:
    """One label for several windows; returns those it was saved for. 409 if one is an audit window."""

    def work(connection: Connection) -> LabelledTogether:
        taken = answers.answer_many(
            connection,
            given.item_ids,
            who.name,
            given.label,
            minutes=_minutes(),
            seconds=given.seconds,
            model_hidden=given.model_hidden,
        )
        return LabelledTogether(taken=taken, progress=_progress(connection, who))

    return await context.run_write(work)

"""The review: windows that people disagree on, that were flagged, or whose label looks wrong; decided by keyboard.
Beside it how far annotators agree, and labels out and in."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from datetime import UTC
from html import escape
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import Response
from nicegui import events, ui

from activitymodule.errors import ActivityError, ConfigError, DataError
from activitymodule.lake.labels import exported_text, read_labels
from activitymodule.learning.agreement import PairAgreement, agreements, suspicious_labels
from activitymodule.store import import_export
from activitymodule.store import items as store_items
from activitymodule.store import labels as store_labels
from activitymodule.store import review as store_review
from activitymodule.store.connection import Connection
from activitymodule.store.review import Case, Vote
from annotation import context, frame, items
from annotation.auth import User, require_admin
from annotation.palette import colours
from annotation.signals import facts, microseconds, plot, unpack

router = APIRouter(prefix="/review", include_in_schema=False)

_MOST_SUSPICIOUS = 50
_IMPORT_BYTES = 20 << 20
_WHY = {
    "disputed": ("Disputed", "people gave it different labels"),
    "flagged": ("Flagged", "somebody says that something is wrong with it"),
    "suspicious": ("Suspicious", "its label is unlike what the model expected, for a label of its kind"),
}


@dataclass(frozen=True)
class Shown:
    """A case with what is shown of it."""

    case: Case
    item: store_items.Item
    votes: tuple[Vote, ...]
    label: str | None = None  # of a suspicious one: as it stands
    suggested: str | None = None


def suspicions(connection: Connection, classifier: str) -> list[tuple[Case, str, str]]:
    """Labels that look wrong (case, label, what the model takes it for), the most suspicious first.

    The probabilities are those the window was queued with: of a model that could not have learnt the label.
    """
    judged = store_labels.gold_predictions(connection, classifier)
    if judged is None or len(judged.label) < 2:
        return []
    import numpy as np

    with warnings.catch_warnings():
        # that a class has few examples yet is no news to a reviewer
        warnings.simplefilter("ignore", UserWarning)
        found = suspicious_labels(
            judged.probabilities, np.array(judged.label, object), judged.labels, most=_MOST_SUSPICIOUS
        )
    return [
        (
            Case(judged.item_id[one.row], "suspicious", judged.labelled_at[one.row]),
            one.label,
            one.suggested,
        )
        for one in found
    ]


def waiting(connection: Connection, classifier: str) -> list[Shown]:
    """Everything that waits for a reviewer: disputed and flagged windows, then suspicious labels."""
    told = [(case, None, None) for case in store_review.cases(connection)]
    there = {case.item_id for case, _, _ in told}
    doubtful = [one for one in suspicions(connection, classifier) if one[0].item_id not in there]
    return [
        Shown(
            case,
            store_items.get_item(connection, case.item_id),
            tuple(store_review.votes(connection, case.item_id)),
            label,
            suggested,
        )
        for case, label, suggested in [*told, *doubtful]
    ]


def kappas(connection: Connection) -> list[PairAgreement]:
    """How far each pair of annotators agrees."""
    said = store_labels.pairs_of_labels(connection)
    return agreements([a for a, _, _ in said], [w for _, w, _ in said], [label for _, _, label in said])


# ---- out and in ---------------------------------------------------------------------------------------------

Admin = Annotated[User, Depends(require_admin)]


@router.get("/export/{name}")
async def export(who: Admin, name: str) -> Response:
    """Labels as a file: labels.csv or labels.json (Label Studio)."""
    kind = {"labels.csv": "csv", "labels.json": "label-studio"}.get(name)
    if kind is None:
        raise HTTPException(404, "there is labels.csv and labels.json")
    text, _ = await context.run_read(lambda connection: exported_text(connection, kind))
    return Response(
        text,
        media_type="text/csv; charset=utf-8" if kind == "csv" else "application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


def _labels_out_and_in(who: User) -> None:
    with frame.panel("Labels out and in"):
        frame.text("What people say now, one row an annotator and window; and labels from elsewhere.", "note")
        ui.html(
            '<div class="row-line"><a class="button" href="/review/export/labels.csv" download>CSV</a>'
            '<a class="button" href="/review/export/labels.json" download>Label Studio JSON</a></div>',
            sanitize=False,
        )

        async def take(upload: events.UploadEventArguments) -> None:
            config = context.settings()
            try:
                text = (await upload.file.read()).decode("utf-8-sig")
                rows = read_labels(text, annotator=who.name, window_seconds=config.windows.length_seconds)
                count = await context.run_write(
                    lambda connection: import_export.import_labels(
                        connection, rows, minutes=config.queue.lease_minutes
                    )
                )
            except UnicodeDecodeError:
                ui.notify(f"{upload.file.name}: the file is not UTF-8 text.", type="negative")
            except ActivityError as error:
                ui.notify(f"{upload.file.name}: {error}.", type="negative", multi_line=True, timeout=15_000)
            else:
                ui.notify(
                    f"{count.added} labels added, {count.known} were there already; {count.unmatched} are of "
                    "windows that were never queued.",
                    type="positive",
                    multi_line=True,
                )
            finally:
                # the same file, mended, may come again
                box.reset()

        box = ui.upload(
            on_upload=take,
            on_rejected=lambda: ui.notify(
                f"Only a .csv or .json file of at most {_IMPORT_BYTES >> 20} MB is taken.", type="negative"
            ),
            auto_upload=True,
            max_file_size=_IMPORT_BYTES,
            label="Import CSV or Label Studio JSON",
        )
        box.props('flat bordered accept=".csv,.json"').classes("w-full").style("max-width: 420px")


# ---- the page -------------------------------------------------------------------------------------------------


class Desk:
    """One reviewer's desk: what waits, what lies open."""

    def __init__(self, who: User, labels: tuple[str, ...], cases: list[Shown]) -> None:
        self.who, self.labels, self.cases = who, labels, cases
        self.at = 0
        self.since = time.monotonic()
        self.busy = False
        self.letters = items.label_key(labels)

    @property
    def open(self) -> Shown | None:
        return self.cases[self.at] if self.cases else None

    def move(self, by: int) -> None:
        if self.cases:
            self.at = (self.at + by) % len(self.cases)
            self.since = time.monotonic()

    async def decide(self, label: str | None) -> bool:
        """A word on the open case: a label, or None: nobody can tell. The case leaves the desk."""
        shown = self.open
        if shown is None or self.busy:
            return False
        self.busy = True
        try:
            seconds = time.monotonic() - self.since
            await context.run_write(
                lambda connection: store_review.adjudicate(
                    connection,
                    shown.item.item_id,
                    self.who.name,
                    label,
                    minutes=context.settings().queue.lease_minutes,
                    seconds=seconds,
                )
            )
        finally:
            self.busy = False
        self.cases = [one for one in self.cases if one.item.item_id != shown.item.item_id]
        self.at = min(self.at, max(0, len(self.cases) - 1))
        self.since = time.monotonic()
        return True

    async def take_back(self) -> bool:
        """Undo the last word; its case lies open again."""
        name = context.settings().registry.classifier
        number = await context.run_write(
            lambda connection: store_review.undo_adjudication(
                connection, self.who.name, context.settings().queue.lease_minutes
            )
        )
        if number is None:
            return False
        self.cases = await context.run_read(lambda connection: waiting(connection, name))
        self.at = next((k for k, one in enumerate(self.cases) if one.item.item_id == number), 0)
        return True


@frame.page("/review", "Review", role="admin")
async def review(who: User) -> None:
    ui.add_head_html(
        f'<link rel="stylesheet" href="{frame.asset("annotate.css")}">'
        f'<link rel="stylesheet" href="{frame.asset("review.css")}">'
    )
    name = context.settings().registry.classifier
    known, others = await context.run_read(lambda connection: store_labels.offered_labels(connection, name))
    desk = Desk(who, (*known, *others), await context.run_read(lambda connection: waiting(connection, name)))
    pairs = await context.run_read(kappas)

    @ui.refreshable
    def board() -> None:
        _board(desk, decide, choose)

    async def decide(label: str | None) -> None:
        shown = desk.open
        try:
            if await desk.decide(label):
                ui.notify(
                    f"{shown.item.device_id if shown else ''}: {label or 'withdrawn'}",
                    position="bottom-right",
                )
        except (ConfigError, DataError) as error:
            ui.notify(str(error), type="negative")
        board.refresh()

    async def back() -> None:
        if await desk.take_back():
            ui.notify("Taken back.", position="bottom-right")
        else:
            ui.notify("Nothing to take back.", position="bottom-right")
        board.refresh()

    def choose(place: int) -> None:
        desk.at, desk.since = place, time.monotonic()
        board.refresh()

    async def key(event: events.KeyEventArguments) -> None:
        if not event.action.keydown or event.action.repeat:
            return
        if event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        pressed = str(event.key).lower() if len(str(event.key)) == 1 else str(event.key)
        label = next(
            (
                one
                for place, one in enumerate(desk.labels)
                if pressed in (str(place + 1) if place < 9 else "", desk.letters.get(one, ""))
            ),
            None,
        )
        if label is not None:
            await decide(label)
        elif pressed == "n":
            await decide(None)
        elif pressed == "z":
            await back()
        elif pressed in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft"):
            desk.move(1 if pressed in ("ArrowDown", "ArrowRight") else -1)
            board.refresh()

    ui.keyboard(on_key=key, ignore=["input", "select", "textarea"])
    board()
    with frame.grid(340):
        with frame.panel("How far annotators agree"):
            _agreement(pairs)
        _labels_out_and_in(who)


def _board(desk: Desk, decide: Any, choose: Any) -> None:
    counts = {why: sum(one.case.why == why for one in desk.cases) for why in _WHY}
    ui.html(
        '<p class="row-line" id="review-counts">'
        + "".join(
            frame.chip(f"{counts[why]} {name.lower()}", "warn" if counts[why] else "")
            for why, (name, _) in _WHY.items()
        )
        + "</p>",
        sanitize=False,
    )
    shown = desk.open
    if shown is None:
        with frame.panel():
            frame.empty(
                "Nothing waits for a reviewer", "No window is disputed or flagged, and no label looks wrong."
            )
        return
    with ui.element("div").classes("review"):
        with ui.element("nav").classes("panel cases").props('aria-label="Cases"'):
            for place, one in enumerate(desk.cases[:200]):
                current = ' aria-current="true"' if place == desk.at else ""
                ui.html(
                    f'<button type="button" class="case"{current}><b>{escape(one.item.device_id)}</b>'
                    f"<span>{_WHY[one.case.why][0].lower()}</span><small>{_said(one)}</small></button>",
                    sanitize=False,
                ).on("click", lambda _, place=place: choose(place))
        with ui.element("section").classes("panel desk").props(f'id="desk" data-item="{shown.item.item_id}"'):
            _desk(desk, shown, decide)


def _said(shown: Shown) -> str:
    if shown.case.why == "suspicious":
        return f"{escape(shown.label or '')}, or {escape(shown.suggested or '')}?"
    return escape(" / ".join(vote.label or vote.answer for vote in shown.votes))


def _desk(desk: Desk, shown: Shown, decide: Any) -> None:
    item = shown.item
    records = unpack([item.readings])
    low, high = microseconds(item.window_start), microseconds(item.window_end)
    said = facts(records[(records["stamp_us"] >= low) & (records["stamp_us"] < high)])
    title, why = _WHY[shown.case.why]
    picture = plot(records, low, high, 820, height=330, what=said.sentence())
    ui.html(
        f'<div class="panel-head"><h2>{escape(item.device_id)}</h2>'
        f'<span class="note">{item.window_start.astimezone(UTC):%a %d %b %H:%M:%S} UTC · {title}: {why}</span></div>'
        f'<div class="annotate plain"><div class="plot">{picture}</div></div>',
        sanitize=False,
    )
    rows = [
        [
            escape(vote.annotator),
            frame.activity_chip(vote.label) if vote.label else frame.chip(vote.answer, "warn"),
            "" if vote.seconds is None else f"{vote.seconds:.0f} s",
            escape(vote.note or ""),
        ]
        for vote in shown.votes
    ]
    best = (
        max(range(len(item.probabilities)), key=lambda k: item.probabilities[k])
        if item.probabilities
        else None
    )
    if best is not None and best < len(item.labels):
        share = f"{item.probabilities[best]:.0%}"
        rows.append(
            [f"model {escape(item.model_version)}", frame.activity_chip(item.labels[best]), share, ""]
        )
    frame.table(["who", "says", "", "note"], rows)
    shades = colours(desk.labels)
    with ui.element("div").classes("annotate plain"), ui.element("div").classes("labels"):
        for place, label in enumerate(desk.labels):
            mark = str(place + 1) if place < 9 else desk.letters.get(label, "")
            ui.html(
                f'<button type="button" class="label" data-label="{escape(label)}" style="--c:{shades[label]}">'
                f'<kbd>{mark}</kbd><span class="word">{escape(label)}</span></button>',
                sanitize=False,
            ).on("click", lambda _, label=label: decide(label))
        ui.html(
            '<button type="button" class="label" data-act="withdraw" style="--c:#7d8794"><kbd>n</kbd>'
            '<span class="word">nobody can tell</span></button>',
            sanitize=False,
        ).on("click", lambda _: decide(None))
    ui.html(
        '<p class="note"><kbd>1</kbd> to <kbd>9</kbd> decide, <kbd>n</kbd> withdraw it, <kbd>↑</kbd> <kbd>↓</kbd> '
        "another case, <kbd>z</kbd> take back. A reviewer's word decides over all others.</p>",
        sanitize=False,
    )


def _agreement(pairs: list[PairAgreement]) -> None:
    if not pairs:
        frame.text(
            "No window was labelled by two people yet. A share of the queue (`queue.overlap_share`) is shown to two.",
            "note",
        )
        return
    frame.table(
        ["pair", "windows", "agree", "kappa", "95 % interval"],
        [
            [
                f"{escape(pair.first)} and {escape(pair.second)}",
                f"{pair.windows:,}",
                "-" if pair.agree is None else f"{pair.agree:.0%}",
                "-" if pair.kappa is None else f"{pair.kappa:.2f}",
                "-" if pair.low is None or pair.high is None else f"{pair.low:.2f} to {pair.high:.2f}",
            ]
            for pair in pairs
        ],
        numeric=frozenset({1, 2, 3, 4}),
    )
    frame.text(
        "Cohen's kappa: 0 is chance, 1 is full agreement; it is not defined where both always gave one label.",
        "note",
    )

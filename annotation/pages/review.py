"""Review: disputed and flagged windows, and labels that are probably wrong, decided by keyboard; agreement between
annotators; labels as files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from html import escape

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from nicegui import events, ui

from activitymodule.errors import AlreadyDecidedError, ConfigError, DataError
from activitymodule.lake.labels import exported_text
from activitymodule.lake.span_csv import spans_to_csv
from activitymodule.learning.agreement import OverallAgreement, PairAgreement
from activitymodule.learning.strata import AUDIT
from activitymodule.store import labels as store_labels
from activitymodule.store.spans import spans_in_force
from annotation import context, frame
from annotation.access import Admin
from annotation.auth import User
from annotation.cases import Desk, Shown, kappas, waiting
from annotation.label_files import label_files, span_files
from annotation.palette import colours
from annotation.signals import facts, microseconds, plot, unpack

router = APIRouter(prefix="/review", include_in_schema=False)

Decide = Callable[[str | None], Awaitable[None]]

_ICON = '<path d="M12 4v16M5 20h14M5 8h14M5 8l-2 6h5L5 8ZM19 8l-3 6h5l-2-6Z"/>'
_WHY = {
    "disputed": ("Disputed", "annotators gave different labels"),
    "flagged": ("Flagged", "an annotator reported a problem"),
    "suspicious": ("Suspicious", "the label is improbable given the model's prediction"),
}
_MOST_LISTED = 200
_ARROWS = {"ArrowDown": 1, "ArrowRight": 1, "ArrowUp": -1, "ArrowLeft": -1}


@router.get("/export/{name}")
async def export(_: Admin, name: str) -> Response:
    """Labels as a file: labels.csv, labels.json (Label Studio) or spans.csv."""
    if name == "spans.csv":
        return _file(name, spans_to_csv(await context.run_read(spans_in_force)))
    kind = {"labels.csv": "csv", "labels.json": "label-studio"}.get(name)
    if kind is None:
        raise HTTPException(404, "no such file; the exports are labels.csv, labels.json and spans.csv")
    question = context.settings().labels
    text, _rows = await context.run_read(
        lambda connection: exported_text(connection, kind, question, open_audit=False)
    )
    return _file(name, text)


def _file(name: str, text: str) -> Response:
    return Response(
        text,
        media_type="text/csv; charset=utf-8" if name.endswith(".csv") else "application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


@frame.page(
    "/review",
    "Review",
    role="admin",
    icon=_ICON,
    group="Labels",
    order=20,
    assets=("annotate.css", "review.css"),
)
async def review(who: User) -> None:
    """The list of cases with the open one beside it."""
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
                device = shown.item.device_id if shown else ""
                ui.notify(f"{device}: {label or 'withdrawn'}", position="bottom-right")
        except (AlreadyDecidedError, ConfigError, DataError) as error:
            ui.notify(str(error), type="negative", multi_line=True)
        board.refresh()

    async def undo() -> None:
        ui.notify("Undone." if await desk.undo() else "Nothing to undo.", position="bottom-right")
        board.refresh()

    def choose(place: int) -> None:
        desk.choose(place)
        board.refresh()

    async def key(event: events.KeyEventArguments) -> None:
        modifiers = event.modifiers
        if (
            not event.action.keydown
            or event.action.repeat
            or modifiers.ctrl
            or modifiers.alt
            or modifiers.meta
        ):
            return
        pressed = str(event.key).lower() if len(str(event.key)) == 1 else str(event.key)
        label = desk.label_of(pressed)
        if label is not None or pressed == "n":
            await decide(label)
        elif pressed == "z":
            await undo()
        elif pressed in _ARROWS:
            choose(desk.at + _ARROWS[pressed])

    ui.keyboard(on_key=key, ignore=["input", "select", "textarea"])
    board()
    with frame.grid(340):
        with frame.panel("Agreement between annotators"):
            _agreement(*pairs)
        label_files(who)
        span_files(who)


def _board(desk: Desk, decide: Decide, choose: Callable[[int], None]) -> None:
    counts = {why: sum(one.case.why == why for one in desk.cases) for why in _WHY}
    chips = "".join(
        frame.chip(f"{counts[why]} {name.lower()}", "warn" if counts[why] else "")
        for why, (name, _) in _WHY.items()
    )
    ui.html(f'<p class="row-line" id="review-counts">{chips}</p>', sanitize=False)
    shown = desk.open
    if shown is None:
        with frame.panel():
            frame.empty("Nothing to review", "No window is disputed or flagged, and no label is suspicious.")
        return
    with ui.element("div").classes("review"):
        with ui.element("nav").classes("panel cases").props('aria-label="Cases"'):
            for place, one in enumerate(desk.cases[:_MOST_LISTED]):
                current = ' aria-current="true"' if place == desk.at else ""
                ui.html(
                    f'<button type="button" class="case"{current}><b>{escape(one.item.device_id)}</b>'
                    f"<span>{_WHY[one.case.why][0].lower()}</span><small>{_answers(one)}</small></button>",
                    sanitize=False,
                ).on("click", lambda _, place=place: choose(place))
        with ui.element("section").classes("panel desk").props(f'id="desk" data-item="{shown.item.item_id}"'):
            _window(shown)
            _votes(shown)
            _labels(desk, decide)


def _answers(shown: Shown) -> str:
    if shown.case.why == "suspicious":
        return f"{escape(shown.label or '')}, predicted {escape(shown.suggested or '')}"
    return escape(" / ".join(one.label or one.answer for one in shown.votes))


def _window(shown: Shown) -> None:
    item = shown.item
    records = unpack([item.readings])
    low, high = microseconds(item.window_start), microseconds(item.window_end)
    summary = facts(records[(records["stamp_us"] >= low) & (records["stamp_us"] < high)]).sentence()
    title, why = _WHY[shown.case.why]
    picture = plot(records, low, high, 820, height=330, what=summary)
    ui.html(
        f'<div class="panel-head"><h2>{escape(item.device_id)}</h2>'
        f'<span class="note">{item.window_start.astimezone(UTC):%a %d %b %H:%M:%S} UTC · {title}: {why}</span></div>'
        f'<div class="annotate plain"><div class="plot">{picture}</div></div>',
        sanitize=False,
    )


def _votes(shown: Shown) -> None:
    """What each annotator answered, what another reviewer decided, and what the model predicted."""
    rows = [
        [
            escape(one.annotator),
            frame.activity_chip(one.label) if one.label else frame.chip(one.answer, "warn"),
            "" if one.seconds is None else f"{one.seconds:.0f} s",
            escape(one.note or ""),
        ]
        for one in shown.votes
    ]
    if shown.decision is not None:
        label = shown.decision.label
        rows.append(
            [
                f"{escape(shown.decision.reviewer)} (reviewer)",
                frame.activity_chip(label) if label else frame.chip("cannot be determined", "warn"),
                "",
                f"decided at {shown.decision.created_at.astimezone(UTC):%H:%M:%S} UTC",
            ]
        )
    item = shown.item
    predicted = list(zip(item.labels, item.probabilities, strict=False))
    # the labels of the audit share evaluate models, so nobody who gives one sees a prediction
    if predicted and item.stratum != AUDIT:
        label, probability = max(predicted, key=lambda pair: pair[1])
        rows.append(
            [
                f"model version {escape(item.model_version)}",
                frame.activity_chip(label),
                f"{probability:.0%}",
                "",
            ]
        )
    frame.table(["By", "Answer", "Time or confidence", "Note"], rows)
    if item.stratum == AUDIT:
        frame.text("Audit window: its label evaluates models, so the prediction is hidden.", "note")


def _labels(desk: Desk, decide: Decide) -> None:
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
            '<span class="word">Cannot be determined</span></button>',
            sanitize=False,
        ).on("click", lambda _: decide(None))
    ui.html(
        '<p class="note"><kbd>1</kbd> to <kbd>9</kbd> decide, <kbd>n</kbd> withdraw the window, <kbd>↑</kbd> '
        "<kbd>↓</kbd> select a case, <kbd>z</kbd> undo. A reviewer's decision overrides all other labels.</p>",
        sanitize=False,
    )


def _agreement(pairs: list[PairAgreement], groups: list[tuple[str, str, OverallAgreement]]) -> None:
    if not pairs:
        frame.text(
            "No window has labels of two annotators yet. The share `queue.overlap_share` of the queue requires two.",
            "note",
        )
        return
    frame.table(
        ["Pair", "Windows", "Agreement", "Kappa", "95% interval"],
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
    shown = [(kind, name, one) for kind, name, one in groups if one.windows]
    if shown:
        frame.table(
            ["Windows of", "Windows", "Agreement", "Kappa"],
            [
                [
                    f"{escape(kind)} {escape(name)}",
                    f"{one.windows:,}",
                    "-" if one.agree is None else f"{one.agree:.0%}",
                    "-" if one.kappa is None else f"{one.kappa:.2f}",
                ]
                for kind, name, one in shown
            ],
            numeric=frozenset({1, 2, 3}),
        )
    frame.text(
        "Cohen's kappa: 0 is chance, 1 is full agreement; undefined if both annotators gave only one label.",
        "note",
    )

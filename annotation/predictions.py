"""The table of predictions on the Live page: filters, and one page of rows at a time."""

from __future__ import annotations

from datetime import datetime
from html import escape

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store.views import UNCERTAIN_BELOW, Filter, Prediction, list_predictions, newest_labels
from annotation import context, frame
from annotation.palette import UNKNOWN

ROWS = 25


async def predictions() -> None:
    """The panel with its filters and rows."""
    labels = await context.run_read(newest_labels)
    with frame.panel("Predictions", note="windows that have ended; times in UTC"):
        table = _Table(labels)
    await table.load()


class _Table:
    """One viewer's filters and place in the rows."""

    def __init__(self, labels: list[str]) -> None:
        self.pages: list[tuple[datetime, str] | None] = [None]  # where each page so far began
        self.next: tuple[datetime, str] | None = None
        self.shown: Filter | None = None
        self.turn = 0
        with ui.element("div").classes("filters w-full"):
            self.device = (
                ui.input("Watch begins with")
                .props('outlined dense clearable maxlength="128"')
                .classes("field")
            )
            self.activity = (
                ui.select(
                    {"": "any", **{label: label for label in labels}, "none": "no activity"},
                    value="",
                    label="Activity",
                )
                .props("outlined dense options-dense")
                .classes("field")
            )
            self.uncertain = ui.checkbox(f"Confidence under {UNCERTAIN_BELOW:.0%}")
        self.body = ui.html("", sanitize=False).classes("w-full")
        with ui.element("div").classes("row-line"):
            self.newer = ui.button("Newer", color=None).classes("button small").props("flat no-caps")
            self.older = ui.button("Older", color=None).classes("button small").props("flat no-caps")
        for event in ("keydown.enter", "blur", "clear"):
            self.device.on(event, self.first)
        self.activity.on_value_change(self.first)
        self.uncertain.on_value_change(self.first)
        self.older.on_click(self.go_older)
        self.newer.on_click(self.go_newer)

    def filter(self) -> Filter:
        return Filter(
            (self.device.value or "").strip(), self.activity.value or "", bool(self.uncertain.value)
        )

    async def load(self) -> None:
        self.turn += 1
        turn, which, before = self.turn, self.filter(), self.pages[-1]
        self.shown, self.next = which, None
        try:
            rows = await context.run_read(
                lambda connection: list_predictions(connection, which, before=before, limit=ROWS + 1)
            )
        except ActivityError:
            self.shown = None  # so that the same filter is read again
            raise
        if turn != self.turn:
            return  # another filter or page was chosen meanwhile
        more, rows = len(rows) > ROWS, rows[:ROWS]
        self.body.set_content(_rows(rows) if rows else _no_rows(bool(which)))
        self.newer.set_enabled(len(self.pages) > 1)
        self.older.set_enabled(more)
        self.next = rows[-1].place if more else None

    async def first(self) -> None:
        if self.filter() == self.shown:
            return  # leaving the field without a change keeps the page
        del self.pages[1:]
        await self.load()

    async def go_older(self) -> None:
        if self.next is not None:
            self.pages.append(self.next)
            await self.load()

    async def go_newer(self) -> None:
        if len(self.pages) > 1:
            self.pages.pop()
        await self.load()


def _no_rows(filtered: bool) -> str:
    if filtered:
        return '<div class="empty"><h2>No matching predictions</h2><p>Change the filters.</p></div>'
    return (
        '<div class="empty"><h2>No predictions yet</h2><p><code>activity score</code> writes them; '
        "<code>activity generate</code> sends a synthesised fleet.</p></div>"
    )


def _rows(rows: list[Prediction]) -> str:
    return frame.table_html(
        [
            "Window",
            "Watch",
            "Activity",
            "Unsmoothed",
            "Confidence",
            "Decided",
            "Conformal set",
            "kcal/min",
            "Coverage",
            "Familiarity",
            "Version",
        ],
        [
            [
                frame.moment(row.window_start, "%m-%d %H:%M:%S"),
                frame.watch_link(row.device_id),
                frame.activity_chip(row.smoothed_activity or row.activity)
                if row.activity
                else f'<span class="chip"><span class="dot" style="--c:{UNKNOWN}"></span>'
                f"{escape(row.reason or 'none')}</span>",
                escape(row.activity or "-"),
                "-" if row.confidence is None else f"{row.confidence:.0%}",
                escape(row.decided or "-"),
                escape(", ".join(row.conformal_set or [])) or "-",
                "-" if row.kcal_per_min is None else f"{row.kcal_per_min:.1f}",
                f"{row.coverage:.0%}",
                frame.familiarity(row.familiarity),
                escape(row.model_version or "-"),
            ]
            for row in rows
        ],
        numeric=frozenset({4, 7, 8, 9}),
    )

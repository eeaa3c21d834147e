"""The panel of the Models page that starts a retraining and follows it."""

from __future__ import annotations

from html import escape
from typing import Literal

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store.retraining import Run, runs
from activitymodule.workflows.retraining import request as retraining
from activitymodule.workflows.retraining.results import Options
from annotation import context, frame
from annotation.auth import User, must_be_admin

_REFRESH_SECONDS = 1.5
_LISTED = 6
_CHIPS: dict[str, Literal["good", "bad", "warn"]] = {
    "promoted": "good",
    "rejected": "bad",
    "failed": "bad",
    "waiting": "warn",
}


async def retraining_panel(who: User) -> None:
    """The panel; only admins see its buttons."""
    ui.html("", sanitize=False).props('id="retrain"')
    with frame.panel(
        "Retraining", note="on gold labels; a challenger is promoted only if it is significantly better"
    ):
        panel = _Panel(who)
    await panel.refresh()
    ui.timer(_REFRESH_SECONDS, panel.refresh)


class _Panel:
    """One viewer's panel."""

    def __init__(self, who: User) -> None:
        self.who = who
        self.run_id: str | None = None  # the one started here
        self.notice = ""
        self.content = ""
        self.body = ui.html('<p class="muted">Loading ...</p>', sanitize=False).classes("w-full")
        self.button: ui.button | None = None
        if who.is_admin:
            with ui.element("div").classes("row-line"):
                self.button = ui.button("Retrain now", on_click=self.begin, color=None)
                self.button.classes("button primary").props("flat no-caps")
                self.force = ui.checkbox("Ignore the label threshold")
                self.dry_run = ui.checkbox("Dry run")

    async def refresh(self) -> None:
        """Read the last runs; sends only what has changed."""
        latest = await context.run_read(lambda connection: runs(connection, limit=_LISTED))
        own = self.run_id
        starting = own is not None and retraining.starting(own) and all(run.run_id != own for run in latest)
        content = _runs(latest, self.notice if starting else "")
        if content != self.content:
            self.content = content
            self.body.set_content(content)
        if self.button is not None:
            self.button.set_enabled(not starting and not (latest and latest[0].state == "running"))

    async def begin(self) -> None:
        """Start a retraining, as `activity retrain` and the REST interface do."""
        config, who, button = context.settings(), self.who, self.button
        if button is None:
            return
        button.disable()
        try:
            await must_be_admin(who)
            made = await context.run(
                lambda: retraining.begin(
                    config,
                    Options(force=bool(self.force.value), dry_run=bool(self.dry_run.value)),
                    by_whom=who.name,
                )
            )
        except ActivityError as error:
            ui.notify(str(error), type="warning", multi_line=True)
            button.enable()
            return
        self.run_id = made.run_id
        self.notice = "Started in Airflow." if made.through == "airflow" else "Started on this machine."
        if made.held_back:
            ui.notify(f"{made.run_id}: {made.held_back}.", type="warning", multi_line=True, timeout=30_000)
        await self.refresh()


def _runs(latest: list[Run], starting: str) -> str:
    """HTML of the run under way and of those before; starting : a sentence while a run is not in the store yet."""
    parts = []
    if starting:
        parts.append(f'<p class="muted">{escape(starting)} The first step appears within seconds.</p>')
    now = next((run for run in latest if run.state == "running"), None)
    if now is not None:
        percent = f"{now.progress * 100:.0f}"
        parts.append(
            f'<p><b>{escape(now.step.capitalize())}</b> <span class="muted">started by {escape(now.started_by)}: '
            f"{escape(now.why)}</span></p>"
            f'<div class="progress" role="progressbar" aria-label="Retraining" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{percent}"><div style="width:{percent}%"></div></div>'
            f'<p class="note">{escape(now.summary or "")}</p>'
        )
    rows = [
        [
            frame.moment(run.started_at, "%Y-%m-%d %H:%M"),
            frame.chip(run.state, _CHIPS.get(run.state, "")),
            escape(run.started_by),
            f'<span class="small">{escape((run.summary or run.why)[:300])}</span>',
            escape(run.challenger or "-"),
        ]
        for run in latest
        if run is not now
    ]
    if rows:
        parts.append(
            frame.table_html(["Started", "State", "By", "Result", "Challenger"], rows, numeric=frozenset({4}))
        )
    elif not parts:
        parts.append(
            "<p>No retraining yet. Retraining starts on schedule, with <code>activity retrain</code>, or from this "
            "page.</p>"
        )
    return "".join(parts)

"""People: participants by pseudonym, which watches they wear, withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

from nicegui import ui

from activitymodule.errors import ActivityError, DataError
from activitymodule.store import participants as store
from activitymodule.store.connection import Connection
from activitymodule.store.participants import Participant, Wear
from activitymodule.workflows.people.importing import changes_of, moment_in
from activitymodule.workflows.people.withdrawing import withdraw
from annotation import context, frame
from annotation.auth import User, must_be_admin
from annotation.forms import asking_button, text_field

_ICON = '<circle cx="12" cy="7.5" r="3.5"/><path d="M4.5 20.5c.8-4.6 3.6-7 7.5-7s6.700 2.400 7.500 7"/>'
_PAGE = 100
_FIELDS = (
    ("age_years", "Age", "years"),
    ("sex", "Sex", "female or male"),
    ("height_cm", "Height", "cm"),
    ("weight_kg", "Weight", "kg"),
    ("resting_heart_rate_bpm", "Resting heart rate", "beats a minute"),
    ("zone", "Time zone", "Europe/Berlin"),
    ("study", "Study", "spring"),
    ("consented_on", "Consent", "2026-11-20"),
)


@frame.page(
    "/people", "People", role="admin", icon=_ICON, group="Administration", order=78, assets=("users.css",)
)
async def people(who: User, participant: str = "", after: str = "") -> None:
    """A form, and the list or one participant."""
    desk = _Desk(who, participant[:128].replace("\0", ""), after[:128].replace("\0", ""))
    if not desk.participant:
        with frame.panel("Add a participant", note="a pseudonym, no name; everything else is optional"):
            desk.form("Add", None)
    desk.result = ui.element("div").classes("w-full").props('aria-live="polite"')
    await desk.shown()


class _Desk:
    """One admin's page: changes something, shows what came of it, and renews what is shown."""

    result: ui.element

    def __init__(self, who: User, participant: str, after: str) -> None:
        self.who, self.participant, self.after = who, participant, after

    async def change(self, work: Callable[[Connection], Any], done: str) -> None:
        """Do `work` in the store; shows `done`, or the error."""
        await self._do(lambda: context.run_write(work), done)

    async def _do(self, work: Callable[[], Any], done: str) -> None:
        try:
            await must_be_admin(self.who)
            await work()
        except ActivityError as error:
            ui.notify(str(error), type="negative", multi_line=True)
            return
        self.result.clear()
        with self.result:
            frame.notice(done, "good")
        await self.shown.refresh()

    @ui.refreshable_method
    async def shown(self) -> None:
        """One participant, or a page of the list."""
        if self.participant:
            await self._one()
            return
        found = await context.run_read(
            lambda connection: store.list_participants(connection, after=self.after, limit=_PAGE + 1)
        )
        if not found:
            frame.empty(
                "No participants yet",
                "Add one above, many with `activity people import FILE.csv`. `activity generate` adds the wearers of "
                "its watches.",
            )
            return
        with frame.panel("Participants", note="by pseudonym"):
            rows = [_row(one) for one in found[:_PAGE]]
            columns = ["Participant", "Watches now", "Study", "Time zone", "Age", "Consent", ""]
            frame.table(columns, rows, numeric=frozenset({4}))
            if len(found) > _PAGE:
                last = quote(found[_PAGE - 1].participant, safe="")
                ui.html(f'<a class="button" href="/people?after={last}">Next {_PAGE}</a>', sanitize=False)

    async def _one(self) -> None:
        found, worn = await context.run_read(
            lambda connection: (
                store.find(connection, self.participant),
                store.worn_by(connection, self.participant),
            )
        )
        if found is None:
            frame.empty("No such participant", self.participant, ("All participants", "/people"))
            return
        state = (
            frame.chip(f"withdrawn {found.withdrawn_at:%d %b %Y %H:%M} UTC", "bad")
            if found.withdrawn_at
            else ""
        )
        with frame.panel(found.participant):
            ui.html(f'<a href="/people">All participants</a> {state}', sanitize=False)
            self.form("Save", found)
        with frame.panel("Watches", note=f"times in {found.details.zone}"):
            self.wear(found, worn)
        with frame.panel("Rights"):
            self.rights(found)

    def form(self, words: str, found: Participant | None) -> None:
        """The fields of a participant."""
        inputs: dict[str, ui.input] = {}

        async def save() -> None:
            try:
                changes = changes_of({name: one.value or "" for name, one in inputs.items()})
            except DataError as error:
                ui.notify(str(error), type="negative", multi_line=True)
                return
            if found is None:
                who = (inputs["participant"].value or "").strip()
                await self.change(
                    lambda connection: store.add(connection, who, store.details_of(changes)), f"Added {who}."
                )
                return
            unknown = {name: None for name, _, _ in _FIELDS if name not in changes and name != "zone"}
            await self.change(
                lambda connection: store.edit(connection, found.participant, {**unknown, **changes}), "Saved."
            )

        with ui.element("form").classes("row-line").on("submit.prevent", save):
            if found is None:
                inputs["participant"] = text_field("new-participant", "Pseudonym", "p-017", 128)
            for name, label, example in _FIELDS:
                inputs[name] = text_field(f"person-{name}", label, example, 128)
                value = getattr(found.details, name) if found else None
                inputs[name].value = (
                    "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
                )
            ui.html(f'<button class="button primary" type="submit">{words}</button>', sanitize=False)

    def wear(self, found: Participant, worn: list[Wear]) -> None:
        """What the participant wore, and a form for one more watch."""
        zone = found.zone

        def shown(at: Any, otherwise: str) -> str:
            return f'<span class="nowrap">{at.astimezone(zone):%Y-%m-%d %H:%M}</span>' if at else otherwise

        if worn:
            times = [(shown(one.worn_from, "its first reading"), shown(one.worn_to, "now")) for one in worn]
            rows = [[frame.watch_link(one.device_id), *pair] for one, pair in zip(worn, times, strict=True)]
            frame.table(["Watch", "From", "To"], rows)
        else:
            frame.text("No watch yet.", "note")
        if found.withdrawn_at is not None:
            return

        async def assign() -> None:
            try:
                times = [moment_in((one.value or "").strip(), zone) for one in (begin, end)]
            except DataError as error:
                ui.notify(str(error), type="negative", multi_line=True)
                return
            wear = Wear(found.participant, (watch.value or "").strip(), *times)
            await self.change(
                lambda connection: store.assign(connection, wear, handover=takes_over.value),
                f"{wear.participant} wears {wear.device_id}.",
            )

        with ui.element("form").classes("row-line").on("submit.prevent", assign):
            watch = text_field("wear-device", "Watch", "strap-1", 128)
            begin = text_field("wear-from", "From (empty: its first reading)", "2026-11-20T10:00")
            end = text_field("wear-to", "To (empty: still)", "")
            takes_over = ui.checkbox("Ends its present wearer's time")
            ui.html('<button class="button" type="submit">Assign</button>', sanitize=False)

    def rights(self, found: Participant) -> None:
        """Withdrawal, export and erasure."""
        who = found.participant
        with ui.element("div").classes("row-line"):
            if found.withdrawn_at is None:
                asking_button(
                    "Withdraw",
                    f"Take nothing new of {who}? Nothing of them is scored, queued or archived from now on. "
                    "This cannot be undone.",
                    lambda: self._do(
                        lambda: context.run(withdraw, context.settings(), who),
                        f"{who} has withdrawn: nothing new of them is taken.",
                    ),
                    danger=True,
                )
            ui.html(
                f'<a class="button small" href="/participants/{quote(who, safe="")}/export" download>Export</a>',
                sanitize=False,
            )
        frame.text(
            f"`activity people erase {who}` removes everything of them, for good. It reads the whole lake, so it is a "
            "command."
        )


def _row(one: Participant) -> list[str]:
    name = f'<a href="/people?participant={quote(one.participant, safe="")}">{escape(one.participant)}</a>'
    details = one.details
    return [
        name,
        " ".join(frame.watch_link(device) for device in one.devices) or "-",
        escape(details.study or "-"),
        escape(details.zone),
        f"{details.age_years:g}" if details.age_years is not None else "-",
        str(details.consented_on or "-"),
        frame.chip("withdrawn", "bad") if one.withdrawn_at else "",
    ]

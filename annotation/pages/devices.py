"""Devices: the device model of each watch, by which its readings are turned; device profiles."""

from __future__ import annotations

from html import escape
from typing import Any, cast

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store import devices as store
from activitymodule.store.connection import Connection
from activitymodule.store.devices import Device, Setting, Wrist
from activitymodule.telemetry.profiles import MOST_CHARACTERS, profile_of, profiles
from activitymodule.workflows.devices import remark_on
from annotation import context, frame
from annotation.auth import User, must_be_admin
from annotation.forms import text_field

_ICON = '<rect x="7" y="6" width="10" height="12" rx="3"/><path d="M9 6 9.6 2h4.8L15 6M9 18l.6 4h4.8l.6-4"/>'
_SHOWN = 200
_SET_BY = {
    "message": "messages",
    "command": "activity devices",
    "file": "a file",
    "rest": "REST",
    "console": "console",
}


@frame.page("/device-models", "Devices", icon=_ICON, group="Stream", order=55, assets=("users.css",))
async def devices(who: User, device: str = "") -> None:
    """A form for admins, the watches whose model is known, and the profiles."""
    desk = _Desk(who)
    if who.is_admin:
        with frame.panel("Set a device model", note="counts more than what a watch's messages say"):
            desk.form(device[:128])
    await desk.watches()
    _profiles()


class _Desk:
    """The form, its result, and the list that is renewed after it."""

    def __init__(self, who: User) -> None:
        self.who = who

    def form(self, device: str) -> None:
        """A watch, its model and wrist."""
        wrist = {"value": ""}

        async def add() -> None:
            chosen = cast(Wrist | None, wrist["value"] or None)
            await self.change(
                lambda connection: store.set_devices(
                    connection, [Setting((watch.value or "").strip(), model.value or "", chosen)], "console"
                ),
                f"{watch.value} is {model.value}.",
                remark_on(model.value),
            )

        with ui.element("form").classes("row-line").on("submit.prevent", add):
            watch = text_field("device-id", "Watch", "strap-1", 128)
            watch.value = device
            model = text_field("device-model", "Device model", "empatica-e4", MOST_CHARACTERS)
            model.set_autocomplete(list(profiles()))
            with ui.element("div").classes("field"):
                ui.html('<label for="device-wrist">Wrist</label>', sanitize=False)
                ui.html(
                    '<select id="device-wrist"><option value="">not known</option>'
                    '<option value="left">left</option><option value="right">right</option></select>',
                    sanitize=False,
                ).on(
                    "change",
                    lambda event: wrist.update(value=event.args),
                    js_handler="(e) => emit(e.target.value)",
                )
            ui.html('<button class="button primary" type="submit">Set</button>', sanitize=False)
        self.result = ui.element("div").classes("w-full").props('aria-live="polite"')

    async def change(self, work: Any, done: str, remark: str = "") -> None:
        """Do `work` in the store, and show what came of it."""
        try:
            await must_be_admin(self.who)
            await context.run_write(work)
        except ActivityError as error:
            ui.notify(str(error), type="negative", multi_line=True)
            return
        self.result.clear()
        with self.result:
            frame.notice(f"{done} Windows from now on; scored ones stay as they are.", "good")
            if remark:
                frame.notice(remark[:1].upper() + remark[1:], "warn")
        await self.watches.refresh()

    @ui.refreshable_method
    async def watches(self) -> None:
        """The watches whose model is known."""
        found, without = await context.run_read(_known)
        with frame.panel("Watches", note=f"the first {_SHOWN} whose model is known, by name"):
            frame.text(
                f"{without:,} with a window in the last hour without a device model: their readings are taken as sent."
            )
            with ui.element("div").classes("people"):
                for one in found:
                    self.watch(one)

    def watch(self, one: Device) -> None:
        """A watch, with a button for admins."""
        worn = f" · {one.wrist} wrist" if one.wrist else ""
        with ui.element("div").classes("person").props(f'data-name="{escape(one.device_id)}"'):
            ui.html(
                f"<div>{frame.watch_link(one.device_id)} {model_chip(one.device_model)}</div>"
                f'<div class="note">set by {_SET_BY[one.source]} · {one.updated_at:%d %b %Y %H:%M} UTC{worn}</div>',
                sanitize=False,
            ).classes("grow")
            if self.who.is_admin:
                ui.button(
                    "Unset",
                    on_click=lambda: self.change(
                        lambda connection: store.unset_device(connection, one.device_id),
                        f"The messages of {one.device_id} decide.",
                    ),
                    color=None,
                ).props("flat").classes("button small")


def _known(connection: Connection) -> tuple[list[Device], int]:
    return store.list_devices(connection, limit=_SHOWN), store.watches_without_model(connection)


def model_chip(model: str | None) -> str:
    """A device model as HTML; marked where no profile has it."""
    profile = profile_of(model)
    if profile is not None:
        return frame.chip(profile.name)
    return frame.chip(f"{model}: no device profile" if model else "no device model", "warn")


def _profiles() -> None:
    with frame.panel("Device profiles", note="how the axes of a device model lie on the wrist"):
        frame.table(
            ["Profile", "Name", "x, y, z are the sensor's", "Sign", "Hz", "g", "Axes by"],
            [
                [
                    f"<b>{escape(one.id)}</b>",
                    escape(one.name),
                    f'<span class="mono">{one.axes.x}, {one.axes.y}, {one.axes.z}</span>',
                    one.sign,
                    f"{one.rate_hz:g}" if one.rate_hz else "-",
                    f"{one.range_g:g}" if one.range_g else "-",
                    f'<a href="{escape(one.source)}" rel="noreferrer">source</a>',
                ]
                for one in profiles().values()
            ],
            numeric=frozenset({4, 5}),
        )

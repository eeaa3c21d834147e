"""Users and API tokens: list, add, disable, change role or password, revoke."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any, cast

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store import users as store
from activitymodule.store.connection import Connection
from activitymodule.store.users import Account, Role
from annotation import auth, context, frame
from annotation.auth import User
from annotation.forms import asking_button, text_field

_ICON = (
    '<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c.5-4 3-6 6.5-6s6 2 6.5 6"/>'
    '<path d="M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.5c2 .8 3.2 2.7 3.5 5.5"/>'
)
_PERMISSIONS = {
    "annotator": "labels windows",
    "admin": "labels and reviews windows, promotes models, manages users",
}


@frame.page(
    "/users", "Users", role="admin", icon=_ICON, group="Administration", order=80, assets=("users.css",)
)
async def users(who: User) -> None:
    """The forms and the two lists."""
    desk = _Desk(who)
    with frame.panel("Add a user"):
        desk.user_form()
    await desk.lists()


class _Desk:
    """One admin's page: changes something, shows what came of it, and renews the lists."""

    def __init__(self, who: User) -> None:
        self.who = who
        self.result = ui.element("div").classes("w-full").props('aria-live="polite"')

    async def change(
        self,
        work: Callable[[Connection], Any],
        name: str,
        done: str,
        secret: Callable[[], str] | None = None,
    ) -> bool:
        """Do `work` in the store; shows `done` (and a secret, once), or the error. Whether it was done."""
        try:
            await context.run_write(work)
        except ActivityError as error:
            ui.notify(str(error), type="negative", multi_line=True)
            return False
        auth.forget(name)
        self.result.clear()
        with self.result:
            shown = f'<code class="secret">{escape(secret())}</code>' if secret is not None else ""
            ui.html(f"<span>{escape(done)}</span> {shown}", sanitize=False).classes("notice good").props(
                'role="status"'
            )
        await self.lists.refresh()
        return True

    @ui.refreshable_method
    async def lists(self) -> None:
        accounts = await context.run_read(store.list_users)
        tokens = await context.run_read(store.list_tokens)
        with frame.panel("Users"), ui.element("div").classes("people"):
            for account in accounts:
                self.account(account)
        with frame.panel("API tokens", note="sent as Authorization: Bearer TOKEN; a token opens no page"):
            if not tokens:
                frame.text("No tokens yet.", "note")
            with ui.element("div").classes("people"):
                for token in tokens:
                    self.token(token)
            self.token_form()

    def user_form(self) -> None:
        """Name and role of a new user."""
        role = {"value": "annotator"}

        async def add() -> None:
            name, password = new_name.value or "", store.new_password()
            chosen = cast(Role, role["value"])
            if await self.change(
                lambda connection: store.add_user(connection, name, chosen, password),
                name,
                f"Added {name} as {chosen}. The password is shown only once:",
                lambda: password,
            ):
                new_name.value = ""

        with ui.element("form").classes("row-line").on("submit.prevent", add):
            new_name = text_field("new-name", "Name", "anna")
            with ui.element("div").classes("field"):
                ui.html('<label for="new-role">Role</label>', sanitize=False)
                ui.html(
                    '<select id="new-role"><option value="annotator">annotator</option>'
                    '<option value="admin">admin</option></select>',
                    sanitize=False,
                ).on(
                    "change",
                    lambda event: role.update(value=event.args),
                    js_handler="(e) => emit(e.target.value)",
                )
            ui.html('<button class="button primary" type="submit">Add</button>', sanitize=False)

    def token_form(self) -> None:
        """Name of a new token, its devices and how long it is valid."""

        async def add() -> None:
            made: list[str] = []
            name, devices = token_name.value or "", (for_devices.value or "").replace(",", " ").split()
            try:
                days = float(valid.value) if valid.value else None
            except ValueError:
                ui.notify("The number of days must be a number, or empty.", type="negative")
                return
            await self.change(
                lambda connection: made.append(store.add_token(connection, name, devices=devices, days=days)),
                "",
                f"Created the token {name}. It is shown only once:",
                lambda: made[0],
            )

        usual = context.settings().console.token_days
        with ui.element("form").classes("row-line").on("submit.prevent", add):
            token_name = text_field("token-name", "Purpose", "my-phone")
            for_devices = text_field("token-devices", "Only for the devices", "all", most=1000)
            valid = text_field("token-days", "Valid for days", "no end")
            valid.value = f"{usual:g}" if usual else ""
            ui.html('<button class="button" type="submit">Create token</button>', sanitize=False)

    def account(self, account: Account) -> None:
        """A user with the buttons that change it."""
        name, off = account.name, account.disabled_at is not None
        with ui.element("div").classes("person").props(f'data-name="{escape(name)}"'):
            ui.html(
                f"<div><b>{escape(name)}</b> {frame.chip(account.role)} {frame.chip('disabled', 'bad') if off else ''}"
                f"{frame.chip('you') if name == self.who.name else ''}</div>"
                f'<div class="note">{_PERMISSIONS[account.role]} · since {account.created_at:%d %b %Y}</div>',
                sanitize=False,
            ).classes("grow")
            password = store.new_password()
            other: Role = "annotator" if account.role == "admin" else "admin"
            asking_button(
                "New password",
                f"Set a new password for {name}? Their open sessions end.",
                lambda: self.change(
                    lambda connection: store.set_password(connection, name, password),
                    name,
                    f"New password of {name}, shown only once:",
                    lambda: password,
                ),
            )
            asking_button(
                f"Make {other}",
                f"Change the role of {name} to {other}? Their open sessions end.",
                lambda: self.change(
                    lambda connection: store.set_role(connection, name, other),
                    name,
                    f"{name} is now {other}.",
                ),
            )
            asking_button(
                "Enable" if off else "Disable",
                f"Allow {name} to sign in again?" if off else f"Disable {name}? Their open sessions end.",
                lambda: self.change(
                    lambda connection: store.set_disabled(connection, name, not off),
                    name,
                    f"{name} can {'sign in again' if off else 'no longer sign in'}.",
                ),
                danger=not off,
            )

    def token(self, token: store.Token) -> None:
        """A token with its button."""
        used = f"last used {token.last_used_at:%d %b %Y %H:%M} UTC" if token.last_used_at else "never used"
        revoked, ends = token.revoked_at is not None, token.expires_at
        expired = ends is not None and ends <= datetime.now(UTC)
        state = "revoked" if revoked else "expired" if expired else ""
        until = f" · {'expired' if expired else 'valid until'} {ends:%d %b %Y %H:%M} UTC" if ends else ""
        bound = f" · only for {escape(', '.join(token.devices))}" if token.devices else ""
        with ui.element("div").classes("person"):
            ui.html(
                f"<div><b>{escape(token.name)}</b> {frame.chip(state, 'bad') if state else ''}</div>"
                f'<div class="note">{used}{until}{bound}</div>',
                sanitize=False,
            ).classes("grow")
            if not revoked:
                asking_button(
                    "Revoke",
                    f"Revoke the token {token.name}? Whatever uses it loses access at once. This cannot be undone.",
                    lambda: self.change(
                        lambda connection: store.revoke_token(connection, token.name),
                        "",
                        f"Revoked the token {token.name}.",
                    ),
                    danger=True,
                )

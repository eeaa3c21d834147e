"""Who may sign in: list, add, disable, new password, role; and the tokens of the REST interface."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any, cast

from nicegui import ui

from activitymodule.errors import ActivityError
from activitymodule.store import users as store
from activitymodule.store.users import Account, Role
from annotation import auth, context, frame
from annotation.auth import User

_WHAT = {"annotator": "labels windows", "admin": "also reviews, promotes models, adds users"}


@frame.page("/users", "Users", role="admin")
async def users(who: User) -> None:
    ui.add_head_html(f'<link rel="stylesheet" href="{frame.asset("users.css")}">')
    shown = ui.element("div").classes("w-full").props('aria-live="polite"')

    async def change(
        work: Callable[[Any], Any], name: str, done: str, secret: Callable[[], str] | None = None
    ) -> bool:
        try:
            await context.run_write(work)
        except ActivityError as error:
            ui.notify(str(error), type="negative", multi_line=True)
            return False
        auth.forget(name)
        shown.clear()
        with shown:
            _said(done, secret() if secret else None)
        await board.refresh()
        return True

    @ui.refreshable
    async def board() -> None:
        accounts = await context.run_read(store.list_users)
        tokens = await context.run_read(store.list_tokens)
        with frame.panel("Users"), ui.element("div").classes("people"):
            for account in accounts:
                _account(account, who, change)
        with frame.panel("Tokens", note="for scripts, phones and Prometheus: Authorization: Bearer ..."):
            if not tokens:
                frame.text("None yet.", "note")
            with ui.element("div").classes("people"):
                for token in tokens:
                    _token(token, change)
            with ui.element("form").classes("row-line").on("submit.prevent", lambda: add_token()):
                token_name = _input("token-name", "What it is for", "my-phone")
                ui.html('<button class="button" type="submit">Make a token</button>', sanitize=False)

        async def add_token() -> None:
            made: list[str] = []
            name = token_name.value or ""
            await change(
                lambda connection: made.append(store.add_token(connection, name)),
                "",
                f"Token {name}. It is shown this once:",
                lambda: made[0],
            )

    with (
        frame.panel("Add a user"),
        ui.element("form").classes("row-line").on("submit.prevent", lambda: add()),
    ):
        new_name = _input("new-name", "Name", "anna")
        with ui.element("div").classes("field"):
            ui.html('<label for="new-role">Role</label>', sanitize=False)
            role = {"value": "annotator"}
            ui.html(
                '<select id="new-role"><option value="annotator">annotator</option><option value="admin">admin'
                "</option></select>",
                sanitize=False,
            ).on(
                "change",
                lambda event: role.update(value=event.args),
                js_handler="(e) => emit(e.target.value)",
            )
        ui.html('<button class="button primary" type="submit">Add</button>', sanitize=False)

    async def add() -> None:
        name, password = new_name.value or "", store.new_password()
        wanted = cast(Role, role["value"])
        if await change(
            lambda connection: store.add_user(connection, name, wanted, password),
            name,
            f"{name} was added as {wanted}. The password is shown this once:",
            lambda: password,
        ):
            new_name.value = ""

    await board()


def _said(done: str, secret: str | None) -> None:
    shown = f'<code class="secret">{escape(secret)}</code>' if secret is not None else ""
    ui.html(f"<span>{escape(done)}</span> {shown}", sanitize=False).classes("notice good").props(
        'role="status"'
    )


def _input(identity: str, label: str, example: str) -> ui.input:
    with ui.element("div").classes("field"):
        ui.html(f'<label for="{identity}">{escape(label)}</label>', sanitize=False)
        return ui.input(placeholder=example).props(
            f'for="{identity}" dense outlined autocomplete=off spellcheck=false maxlength=40'
        )


def _account(account: Account, who: User, change: Callable[..., Any]) -> None:
    name = account.name
    off = account.disabled_at is not None
    with ui.element("div").classes("person").props(f'data-name="{escape(name)}"'):
        ui.html(
            f"<div><b>{escape(name)}</b> {frame.chip(account.role)} {frame.chip('disabled', 'bad') if off else ''}"
            f"{frame.chip('you') if name == who.name else ''}</div>"
            f'<div class="note">{_WHAT[account.role]} · since {account.created_at:%d %b %Y}</div>',
            sanitize=False,
        ).classes("grow")
        password = store.new_password()
        other: Role = "annotator" if account.role == "admin" else "admin"
        _button(
            "New password",
            f"Give {name} a new password? Their open sessions end.",
            lambda: change(
                lambda connection: store.set_password(connection, name, password),
                name,
                f"New password of {name}, shown this once:",
                lambda: password,
            ),
        )
        _button(
            f"Make {other}",
            f"Make {name} {other}? Their open sessions end.",
            lambda: change(
                lambda connection: store.set_role(connection, name, other), name, f"{name} is {other} now."
            ),
        )
        _button(
            "Enable" if off else "Disable",
            f"Let {name} sign in again?" if off else f"Shut {name} out? Their open sessions end.",
            lambda: change(
                lambda connection: store.set_disabled(connection, name, not off),
                name,
                f"{name} can {'sign in again' if off else 'no longer sign in'}.",
            ),
            danger=not off,
        )


def _token(token: store.Token, change: Callable[..., Any]) -> None:
    used = f"last used {token.last_used_at:%d %b %Y %H:%M} UTC" if token.last_used_at else "never used"
    over = token.revoked_at is not None
    with ui.element("div").classes("person"):
        ui.html(
            f"<div><b>{escape(token.name)}</b> {frame.chip('revoked', 'bad') if over else ''}</div>"
            f'<div class="note">{used}</div>',
            sanitize=False,
        ).classes("grow")
        if not over:
            _button(
                "Revoke",
                f"Revoke the token {token.name}? Whatever uses it is shut out for good.",
                lambda: change(
                    lambda connection: store.revoke_token(connection, token.name),
                    "",
                    f"The token {token.name} is worth nothing now.",
                ),
                danger=True,
            )


def _button(words: str, question: str, act: Callable[[], Any], *, danger: bool = False) -> None:
    async def ask() -> None:
        with ui.dialog() as dialog, ui.element("div").classes("panel").style("width: min(92vw, 420px)"):
            frame.text(question)
            with ui.element("div").classes("row-line"):
                ui.button(words, on_click=lambda: dialog.submit(True), color=None).props(
                    "unelevated"
                ).classes("button primary")
                ui.button("Cancel", on_click=lambda: dialog.submit(False), color=None).props("flat").classes(
                    "button"
                )
        if await dialog:
            await act()
        dialog.delete()

    ui.button(words, on_click=ask, color=None).props("flat").classes(
        f"button small{' danger' if danger else ''}"
    )

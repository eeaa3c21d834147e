"""`activity users`: create, list and disable users of the console."""

from __future__ import annotations

import sys

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import users

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity users add anna --role admin",
)

_NAME = typer.Argument(..., help="The user's name: a-z, 0-9, dot, dash, underscore.")
_ASK = typer.Option(
    False, "--ask", help="Ask for the password (or read it from a pipe) instead of generating one."
)


def _password(ask: bool) -> str:
    if not ask:
        return users.new_password()
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    return str(typer.prompt("password", hide_input=True, confirmation_prompt=True))


def _print(account: users.Account, what: str, generated: str | None, as_json: bool) -> None:
    if as_json:
        shown = {"name": account.name, "role": account.role}
        output.print_json(shown if generated is None else {**shown, "password": generated})
        return
    typer.echo(f"{what} {account.name} ({account.role})")
    if generated is not None:
        typer.echo(f"password (shown only once): {generated}")


@app.command(epilog="Example: activity users add anna --role admin")
def add(
    name: str = _NAME,
    role: str = typer.Option("annotator", help="annotator: label; admin: also review, promote, add users."),
    ask: bool = _ASK,
    as_json: bool = options.JSON,
) -> None:
    """Add a user and print the generated password, once."""
    password = _password(ask)
    account = store.transact(
        settings(),
        lambda connection: users.add_user(connection, name, role, password),  # type: ignore[arg-type]
    )
    _print(account, "added", None if ask else password, as_json)


@app.command("list", epilog="Example: activity users list --json")
def list_(as_json: bool = options.JSON) -> None:
    """List users."""
    with store.session(settings(), read_only=True) as connection:
        accounts = users.list_users(connection)
    if as_json:
        output.print_json(accounts)
    elif not accounts:
        typer.echo("no users; `activity users add NAME --role admin` adds one")
    else:
        output.print_table(
            ("name", "role", "added (UTC)", "disabled (UTC)"),
            [(one.name, one.role, one.created_at, one.disabled_at) for one in accounts],
        )


@app.command(epilog="Example: activity users disable anna")
def disable(name: str = _NAME) -> None:
    """Disable a user; open sessions end at once."""
    _set_disabled(name, True)


@app.command(epilog="Example: activity users enable anna")
def enable(name: str = _NAME) -> None:
    """Enable a disabled user."""
    _set_disabled(name, False)


def _set_disabled(name: str, disabled: bool) -> None:
    account = store.transact(settings(), lambda connection: users.set_disabled(connection, name, disabled))
    typer.echo(f"{account.name} is {'disabled' if disabled else 'enabled'}")


@app.command(epilog="Example: activity users password anna")
def password(name: str = _NAME, ask: bool = _ASK, as_json: bool = options.JSON) -> None:
    """Set a new password for a user; open sessions end."""
    chosen = _password(ask)
    account = store.transact(settings(), lambda connection: users.set_password(connection, name, chosen))
    _print(account, "new password for", None if ask else chosen, as_json)


@app.command(epilog="Example: activity users role anna admin")
def role(name: str = _NAME, to: str = typer.Argument(..., help="annotator or admin.")) -> None:
    """Change a user's role; open sessions end."""
    account = store.transact(
        settings(),
        lambda connection: users.set_role(connection, name, to),  # type: ignore[arg-type]
    )
    typer.echo(f"{account.name} is {account.role} now")

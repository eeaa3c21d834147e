"""`activity users`: create, list and disable users of the console."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.settings import settings

if TYPE_CHECKING:
    from activitymodule.store.users import Account

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Say who may sign in to the console, and which tokens may use the REST interface.",
    epilog="Example: activity users add anna --role admin",
)

_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")
_NAME = typer.Argument(..., help="The user's name: a-z, 0-9, dot, dash, underscore.")
_ASK = typer.Option(False, "--ask", help="Ask for a password (or read it from a pipe) instead of making one.")


def _password(ask: bool) -> str:
    from activitymodule.store.users import new_password

    if not ask:
        return new_password()
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    given = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    return str(given)


def _say(account: Account, what: str, password: str, asked: bool, as_json: bool) -> None:
    from activitymodule.jobs.output import print_json

    if as_json:
        shown: dict[str, Any] = {"name": account.name, "role": account.role}
        print_json(shown if asked else shown | {"password": password})
        return
    typer.echo(f"{what} {account.name} ({account.role})")
    if not asked:
        typer.echo(f"password (shown this once): {password}")


@app.command(epilog="Example: activity users add anna --role admin")
def add(
    name: str = _NAME,
    role: str = typer.Option("annotator", help="annotator: label; admin: also review, promote, add users."),
    ask: bool = _ASK,
    as_json: bool = _JSON,
) -> None:
    """Add a user; prints a generated password, once."""
    from activitymodule.store.connection import session
    from activitymodule.store.users import add_user

    password = _password(ask)
    with session(settings()) as connection:
        account = add_user(connection, name, role, password)  # type: ignore[arg-type]
    _say(account, "added", password, ask, as_json)


@app.command("list", epilog="Example: activity users list --json")
def list_(as_json: bool = _JSON) -> None:
    """List users."""
    from activitymodule.jobs.output import print_json, print_table
    from activitymodule.store.connection import session
    from activitymodule.store.users import list_users

    with session(settings(), read_only=True) as connection:
        accounts = list_users(connection)
    if as_json:
        print_json([account.__dict__ for account in accounts])
        return
    if not accounts:
        typer.echo("no users yet; activity users add NAME --role admin")
        return
    print_table(
        ("name", "role", "added (UTC)", "disabled (UTC)"),
        [(one.name, one.role, one.created_at, one.disabled_at) for one in accounts],
    )


@app.command(epilog="Example: activity users disable anna")
def disable(name: str = _NAME) -> None:
    """Shut a user out; sessions that are open end at once."""
    _set_disabled(name, True)


@app.command(epilog="Example: activity users enable anna")
def enable(name: str = _NAME) -> None:
    """Let a disabled user in again."""
    _set_disabled(name, False)


def _set_disabled(name: str, disabled: bool) -> None:
    from activitymodule.store.connection import session
    from activitymodule.store.users import set_disabled

    with session(settings()) as connection:
        account = set_disabled(connection, name, disabled)
    typer.echo(f"{account.name} {'can no longer sign in' if disabled else 'can sign in again'}")


@app.command(epilog="Example: activity users password anna")
def password(name: str = _NAME, ask: bool = _ASK, as_json: bool = _JSON) -> None:
    """Give a user a new password; sessions that are open end."""
    from activitymodule.store.connection import session
    from activitymodule.store.users import set_password

    chosen = _password(ask)
    with session(settings()) as connection:
        account = set_password(connection, name, chosen)
    _say(account, "new password for", chosen, ask, as_json)


@app.command(epilog="Example: activity users role anna admin")
def role(name: str = _NAME, to: str = typer.Argument(..., help="annotator or admin.")) -> None:
    """Change a user's role; sessions that are open end."""
    from activitymodule.store.connection import session
    from activitymodule.store.users import set_role

    with session(settings()) as connection:
        account = set_role(connection, name, to)  # type: ignore[arg-type]
    typer.echo(f"{account.name} is {account.role} now")

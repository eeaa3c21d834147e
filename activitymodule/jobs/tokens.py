"""`activity tokens`: create, list and revoke tokens of the REST interface."""

from __future__ import annotations

from dataclasses import asdict

import typer

from activitymodule.settings import settings

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Make, list and revoke the tokens of the REST interface (docs/rest.md).",
    epilog="Example: activity tokens add my-phone",
)

_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")
_NAME = typer.Argument(..., help="What the token is for, such as my-phone.")


@app.command(epilog="Example: activity tokens add my-phone --json")
def add(name: str = _NAME, as_json: bool = _JSON) -> None:
    """Make a token; it is printed this once and not kept."""
    from activitymodule.jobs.output import print_json
    from activitymodule.store.connection import session
    from activitymodule.store.users import add_token

    with session(settings()) as connection:
        token = add_token(connection, name)
    if as_json:
        print_json({"name": name, "token": token})
        return
    typer.echo(token)
    typer.echo("shown this once; send it as `Authorization: Bearer TOKEN`", err=True)


@app.command("list", epilog="Example: activity tokens list --json")
def list_(as_json: bool = _JSON) -> None:
    """Tokens by name, when each was last used; the tokens themselves are not kept."""
    from activitymodule.jobs.output import print_json, print_table
    from activitymodule.store.connection import session
    from activitymodule.store.users import list_tokens

    with session(settings(), read_only=True) as connection:
        found = list_tokens(connection)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    if not found:
        typer.echo("no tokens; `activity tokens add NAME` makes one")
        return
    print_table(
        ("name", "made (UTC)", "last used (UTC)", "revoked (UTC)"),
        [(one.name, one.created_at, one.last_used_at, one.revoked_at) for one in found],
    )


@app.command(epilog="Example: activity tokens revoke my-phone")
def revoke(name: str = _NAME) -> None:
    """Shut a token out for good."""
    from activitymodule.store.connection import session
    from activitymodule.store.users import revoke_token

    with session(settings()) as connection:
        revoke_token(connection, name)
    typer.echo(f"the token {name} is worth nothing now")

"""`activity tokens`: create, list and revoke tokens of the REST interface."""

from __future__ import annotations

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
    epilog="Example: activity tokens add my-phone",
)

_NAME = typer.Argument(..., help="What the token is for, such as my-phone.")


@app.command(epilog="Example: activity tokens add my-phone --device my-phone --days 90")
def add(
    name: str = _NAME,
    device: list[str] = typer.Option(
        [], help="Only for this device_id; with * at the end for all that begin so. May be repeated."
    ),
    days: float = typer.Option(
        None, callback=options.finite, help="How long it is valid.  [default: console.token_days]"
    ),
    as_json: bool = options.JSON,
) -> None:
    """Create a token for the REST interface (docs/rest.md). It is printed once and not stored."""
    config = settings()
    valid = config.console.token_days if days is None else days
    token = store.transact(
        config, lambda connection: users.add_token(connection, name, devices=device, days=valid)
    )
    if as_json:
        output.print_json({"name": name, "token": token})
        return
    typer.echo(token)
    typer.echo("shown only once; send it as `Authorization: Bearer TOKEN`", err=True)


@app.command("list", epilog="Example: activity tokens list --json")
def list_(as_json: bool = options.JSON) -> None:
    """List tokens by name, when each was last used and when it expires; the tokens themselves are not stored."""
    with store.session(settings(), read_only=True) as connection:
        tokens = users.list_tokens(connection)
    if as_json:
        output.print_json(tokens)
    elif not tokens:
        typer.echo("no tokens; `activity tokens add NAME` creates one")
    else:
        output.print_table(
            ("name", "devices", "created (UTC)", "last used (UTC)", "expires (UTC)", "revoked (UTC)"),
            [
                (
                    one.name,
                    ", ".join(one.devices) or "all",
                    one.created_at,
                    one.last_used_at,
                    one.expires_at,
                    one.revoked_at,
                )
                for one in tokens
            ],
        )


@app.command(epilog="Example: activity tokens revoke my-phone")
def revoke(name: str = _NAME) -> None:
    """Revoke a token for good."""
    store.transact(settings(), lambda connection: users.revoke_token(connection, name))
    typer.echo(f"the token {name} is revoked")

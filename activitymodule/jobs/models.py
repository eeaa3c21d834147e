"""`activity models`: list models and move the champion alias."""

from __future__ import annotations

from typing import Literal

import typer

from activitymodule.errors import ReleaseBlockedError
from activitymodule.jobs import (
    model_exports,
    models_compare,
    models_thresholds,
    models_verify,
    options,
    output,
)
from activitymodule.serving import record
from activitymodule.settings import settings
from activitymodule.store import retraining as store
from activitymodule.workflows import model_versions, promotion

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List models and move the champion alias: promote a version, or go back to the one before.",
    epilog="Example: activity models list   |   activity models promote 3   |   activity models rollback",
)
app.registered_commands += model_exports.app.registered_commands

Kind = Literal[
    "activity",
    "energy",
    "personas",
    "workout-type",
    "workout-calories",
    "wear-retention",
    "wear-retention-baseline",
]
_KIND = typer.Option("activity", "--kind", help="Which model.")
_WHY = typer.Option("", "--why", help="The reason, for the record.")

app.command(epilog=models_compare.EPILOG)(models_compare.compare)
app.command(epilog=models_verify.EPILOG)(models_verify.verify)


@app.command("list", epilog="Example: activity models list --json")
def list_versions(as_json: bool = options.JSON) -> None:
    """All versions of all models, newest first, and which of them is champion."""
    rows = model_versions.all_versions(settings())
    if as_json:
        output.print_json(rows)
        return
    if not rows:
        typer.echo("the registry has no models yet; `activity train` makes the first")
    for row in rows:
        aliases = f"  [{', '.join(row.aliases)}]" if row.aliases else ""
        typer.echo(f"{row.name} {row.version:>3}  {row.created_at}  {row.data}{aliases}")
        if row.refusal:
            typer.echo(f"    refused: {row.refusal}")
    for problem in model_versions.problems_of_serving(settings()):
        typer.echo(problem, err=True)


@app.command(epilog="Example: activity models show   |   activity models show 3 --kind energy --json")
def show(
    version: str = typer.Argument(None, help="A version's number.  [default: the champion]"),
    kind: Kind = _KIND,
    as_json: bool = options.JSON,
) -> None:
    """One version: its figures, its lineage, its inputs and labels."""
    found = model_versions.details(settings(), kind, version)
    if as_json:
        output.print_json(found.document())
        return
    row, card, metrics, lineage = found.version, found.card, found.metrics, found.lineage
    typer.echo(f"{row.name} version {row.version}, {', '.join(row.aliases) or 'no alias'}")
    typer.echo(f"  trained {lineage['trained_at']} on {lineage['data']['source']}")
    rows = "windows" if "windows" in lineage["data"] else "rows"
    typer.echo(f"  {lineage['data'][rows]} {rows} of {lineage['data']['people']} people")
    typer.echo(f"  data {lineage['data']['sha256'][:12]}, config {lineage['config']['sha256'][:12]}")
    typer.echo(f"  code {lineage['code']['version']} ({lineage['code']['revision'] or 'no checkout'})")
    typer.echo(f"  labels: {', '.join(card['labels'])}")
    if models := card.get("device_models"):
        typer.echo(f"  device models: {', '.join(f'{name} ({n} windows)' for name, n in models.items())}")
    typer.echo(f"  {len(card['feature_names'])} inputs, features version {card['features_version']}")
    for key, value in metrics.items():
        if isinstance(value, float):
            typer.echo(f"  {key}: {value:.3f}")
    for one in found.exports:
        state = f"does not serve: {one.failure}" if one.failure else f"largest difference {one.largest:.2g}"
        typer.echo(f"  export {one.format}: SHA-256 {one.sha256[:12]}, {state}")
    for line in models_thresholds.lines(found.thresholds):
        typer.echo(line)
    typer.echo(f"  files: {found.folder}")


@app.command(
    epilog="Example: activity models promote 3 --why 'the new watch'   |   activity models promote 2 --kind energy"
)
def promote(
    version: str = typer.Argument(..., help="A version's number, or `latest`."),
    kind: Kind = _KIND,
    why: str = _WHY,
    because: str = typer.Option("", help="Why it is promoted although it fails the release check; is kept."),
    as_json: bool = options.JSON,
) -> None:
    """Make a version champion, whatever its verdict is.

    The version is loaded and tried first; one that does not fit is refused, and so is one that fails `activity release
    check`, unless --because says why it serves all the same. Who did it and why is recorded.
    """
    config = settings()
    try:
        made = promotion.promote_by_hand(config, kind, version, by_whom=store.who(), why=why, because=because)
    except ReleaseBlockedError as blocked:
        raise ReleaseBlockedError(f"{blocked}: --because 'THE REASON'") from None
    _print_champion(model_versions.row_of(made), as_json)


@app.command(epilog="Example: activity models rollback --why 'worse on cyclists'")
def rollback(kind: Kind = _KIND, why: str = _WHY, as_json: bool = options.JSON) -> None:
    """Make the version that served before the champion the champion again; a second one leads further back.

    The version is checked first. Who did it and why is recorded.
    """
    made = promotion.roll_back(settings(), kind, by_whom=store.who(), why=why)
    _print_champion(model_versions.row_of(made), as_json)


def _print_champion(row: model_versions.Row, as_json: bool) -> None:
    if as_json:
        output.print_json(row)
    else:
        typer.echo(f"{row.name} version {row.version} is champion")


@app.command(epilog="Example: activity models check 3   |   activity models check 2 --kind energy")
def check(
    version: str = typer.Argument(..., help="A version's number."),
    kind: Kind = _KIND,
) -> None:
    """Load and try a version in a process of its own, and remember the outcome; nothing is promoted.

    A version that is refused is never loaded by the scorer, the console or the gate, until it passes here.
    """
    note = promotion.check(settings(), kind, version)
    typer.echo(f"version {version} may be loaded" + (f": {note}" if note else ""))


@app.command(epilog="Example: activity models repair")
def repair() -> None:
    """Put the registry's aliases champion and previous back to the versions of the record of promotions."""
    moved = record.repair(settings())
    for sentence in moved or ["the aliases are where the record of promotions says"]:
        typer.echo(sentence)


@app.command("history", epilog="Example: activity models history --json")
def promotion_history(
    limit: int = typer.Option(20, min=1, help="How many."), kind: Kind = _KIND, as_json: bool = options.JSON
) -> None:
    """Promotions, rejections and rollbacks, newest first: when, by whom and why."""
    found = promotion.history(settings(), kind, limit)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("at", "version", "before", "act", "by", "why"),
        [(one.at, one.version, one.before, one.act, one.by_whom, one.why) for one in found],
    )

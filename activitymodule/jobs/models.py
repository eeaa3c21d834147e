"""`activity models`: list model versions; promote one or roll back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import typer

from activitymodule.settings import Settings, settings
from activitymodule.workflows import promotion

if TYPE_CHECKING:
    from activitymodule.registry.versions import ModelVersion

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List models and move the champion alias: promote a version, or go back to the one before.",
    epilog="Example: activity models list   |   activity models promote 3   |   activity models rollback",
)

Kind = Literal["activity", "energy"]
_KIND = typer.Option("activity", "--kind", help="Which model: activity or energy.")
_WHY = typer.Option("", "--why", help="Why, for the record.")
_JSON = typer.Option(False, "--json", help="JSON on stdout.")


def _name(config: Settings, kind: str) -> str:
    return config.registry.classifier if kind == "activity" else config.registry.regressor


def _row(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created_at": version.created_at.isoformat(timespec="seconds") if version.created_at else None,
        "data": version.tags.get("data", ""),
        "run_id": version.run_id,
    }


@app.command("list", epilog="Example: activity models list --json")
def list_versions(as_json: bool = _JSON) -> None:
    """All versions of both models, newest first, and which of them serves."""
    from activitymodule.registry.versions import versions

    config = settings()
    names = (config.registry.classifier, config.registry.regressor)
    rows = [_row(version) for name in names for version in versions(config, name)]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        typer.echo("the registry has no models yet; `activity train` makes the first")
    for row in rows:
        aliases = f"  [{', '.join(row['aliases'])}]" if row["aliases"] else ""
        typer.echo(f"{row['name']} {row['version']:>3}  {row['created_at']}  {row['data']}{aliases}")


@app.command(epilog="Example: activity models show   |   activity models show 3 --kind energy --json")
def show(
    version: str = typer.Argument(None, help="A version's number.  [default: the champion]"),
    kind: Kind = _KIND,
    as_json: bool = _JSON,
) -> None:
    """One version: its figures, where it comes from, and what goes in and out."""
    from activitymodule.errors import ModelError
    from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, METRICS_FILE
    from activitymodule.registry.versions import champion, fetch, get

    config = settings()
    name = _name(config, kind)
    found = get(config, name, version) if version else champion(config, name)
    if found is None:
        raise ModelError(f"{name} has no champion yet; `activity train {kind}` makes one")
    folder = fetch(config, found)
    files = {"card": CARD_FILE, "metrics": METRICS_FILE, "lineage": LINEAGE_FILE}
    content = {key: json.loads((folder / file).read_text()) for key, file in files.items()}
    if as_json:
        typer.echo(json.dumps({**_row(found), "folder": str(folder), **content}, indent=1))
        return
    row, card, metrics, lineage = _row(found), content["card"], content["metrics"], content["lineage"]
    typer.echo(f"{row['name']} version {row['version']}, {', '.join(row['aliases']) or 'no alias'}")
    typer.echo(f"  trained {lineage['trained_at']} on {lineage['data']['source']}")
    typer.echo(f"  {lineage['data']['windows']} windows of {lineage['data']['people']} people")
    typer.echo(f"  data {lineage['data']['sha256'][:12]}, config {lineage['config']['sha256'][:12]}")
    typer.echo(f"  code {lineage['code']['version']} ({lineage['code']['revision'] or 'no checkout'})")
    typer.echo(f"  labels: {', '.join(card['labels'])}")
    typer.echo(f"  {len(card['feature_names'])} inputs, features version {card['features_version']}")
    for key in (
        "accuracy",
        "macro_f1",
        "smoothed_macro_f1",
        "ece",
        "conformal_coverage",
        "mae",
        "rmse",
        "r2",
    ):
        if key in metrics:
            typer.echo(f"  {key}: {metrics[key]:.3f}")
    typer.echo(f"  files: {folder}")


@app.command(
    epilog="Example: activity models promote 3 --why 'the new watch'   |   activity models promote 2 --kind energy"
)
def promote(
    version: str = typer.Argument(..., help="A version's number, or `latest`."),
    kind: Kind = _KIND,
    why: str = _WHY,
    as_json: bool = _JSON,
) -> None:
    """Make a version serve, whatever the gate says of it. It is loaded and tried first; one that does not fit is
    refused. Who did it and why is recorded."""
    from activitymodule.store.retraining import who

    config = settings()
    _say(promotion.promote_by_hand(config, kind, version, by_whom=who(), why=why), as_json)


@app.command(epilog="Example: activity models rollback --why 'worse on cyclists'")
def rollback(kind: Kind = _KIND, why: str = _WHY, as_json: bool = _JSON) -> None:
    """Make the version serve that served before the champion; the two change places. Who did it and why is
    recorded."""
    from activitymodule.store.retraining import who

    config = settings()
    _say(promotion.roll_back(config, kind, by_whom=who(), why=why), as_json)


@app.command("history", epilog="Example: activity models history --json")
def promotion_history(
    limit: int = typer.Option(20, min=1, help="How many."), kind: Kind = _KIND, as_json: bool = _JSON
) -> None:
    """Which versions were let in or turned away, newest first: when, by whom and why."""
    from dataclasses import asdict

    from activitymodule.jobs.output import jsonable, print_table
    from activitymodule.store.connection import session
    from activitymodule.store.promotions import promotions

    config = settings()
    with session(config, read_only=True) as connection:
        found = promotions(connection, name=_name(config, kind), limit=limit)
    if as_json:
        typer.echo(json.dumps([jsonable(asdict(one)) for one in found], indent=1))
        return
    print_table(
        ("at", "version", "before", "act", "by", "why"),
        [(one.at, one.version, one.before, one.act, one.by_whom, one.why) for one in found],
    )


def _say(version: ModelVersion, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_row(version), indent=1))
    else:
        typer.echo(f"{version.name} version {version.version} is champion")

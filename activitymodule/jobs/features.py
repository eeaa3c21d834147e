"""`activity features`: list the window features with their units and meanings."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule import files
from activitymodule.errors import ConfigError, DataError
from activitymodule.jobs import options, output
from activitymodule.settings import resolve
from activitymodule.windows import catalogue, document

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_DOCUMENT = "docs/features.md"


@app.command(epilog="Example: activity features --family gravity")
def features(
    family: str = typer.Option("", help="Only this family, such as gravity."),
    as_json: bool = options.JSON,
    write: bool = typer.Option(False, "--markdown", help=f"Write {_DOCUMENT}."),
    check: bool = typer.Option(False, "--check", help=f"Fail where {_DOCUMENT} differs from the code."),
) -> None:
    """List the window features with their units and meanings."""
    if family and family not in catalogue.FAMILIES:
        raise ConfigError(f"{family} is no feature family; the families are {', '.join(catalogue.FAMILIES)}")
    path: Path = resolve(_DOCUMENT)
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, document.markdown())
        typer.echo(f"{_DOCUMENT}: {len(catalogue.FEATURES)} features")
        return
    if check:
        if not path.is_file() or path.read_text(encoding="utf-8") != document.markdown():
            raise DataError(f"{_DOCUMENT} differs from the code; run `activity features --markdown`")
        typer.echo(f"{_DOCUMENT} is up to date")
        return
    chosen = [f for f in catalogue.FEATURES if family in ("", f.family)]
    if as_json:
        output.print_json({"version": catalogue.FEATURES_VERSION, "features": chosen})
        return
    width = max(len(f.name) for f in chosen)
    unit_width = max(len(f.unit) for f in chosen)
    for f in chosen:
        typer.echo(f"{f.name:<{width}}  {f.unit:<{unit_width}}  {f.meaning}")

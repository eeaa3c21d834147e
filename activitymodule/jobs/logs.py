"""`activity logs`: show the logs of the embedded stack."""

from __future__ import annotations

import typer

from activitymodule.embedded import logs as embedded
from activitymodule.settings import settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity logs kafka -f")
def logs(
    service: str = typer.Argument("", help="postgres, kafka, mlflow or supervisor.  [default: all]"),
    follow: bool = typer.Option(False, "--follow", "-f", help="Also print what is written from now on."),
    lines: int = typer.Option(20, "--lines", "-n", min=0, help="Lines of each log."),
) -> None:
    """Show the last lines of the embedded stack's logs."""
    config = settings()
    known = embedded.names(config)
    width = 0 if service else max(map(len, known))
    for name, line in embedded.read(config, [service] if service else known, lines, follow):
        typer.echo(f"{name:{width}}  {line}" if width else line)

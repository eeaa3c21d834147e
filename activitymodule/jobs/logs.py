"""`activity logs`: show the logs of the embedded stack."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TextIO

import typer

from activitymodule.errors import ConfigError
from activitymodule.settings import resolve, settings

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Tail:
    """A log that grows, and that is truncated now and then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file: TextIO | None = None

    def last(self, lines: int) -> list[str]:
        """Its last lines; what is written later is for `more`."""
        self.file = open(self.path, errors="replace")  # noqa: SIM115 - it stays open to be followed
        return [line.rstrip("\n") for line in deque(self.file, lines)]

    def more(self) -> list[str]:
        """Lines written since the last call."""
        assert self.file is not None
        if self.path.stat().st_size < self.file.tell():
            self.file.seek(0)
        return [line.rstrip("\n") for line in self.file]


@app.command(epilog="Example: activity logs kafka -f")
def logs(
    service: str = typer.Argument("", help="postgres, kafka, mlflow or supervisor; all if left out."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Also print what is written from now on."),
    lines: int = typer.Option(20, "--lines", "-n", min=0, help="How many lines of each log."),
) -> None:
    """Show the last lines of the embedded stack's logs."""
    folder = resolve(settings().local.folder) / "logs"
    found = sorted(path.stem for path in folder.glob("*.log"))
    if not found:
        raise ConfigError(f"there are no logs in {folder}; `activity up` starts the stack that writes them")
    if service and service not in found:
        raise ConfigError(f"there is no log of {service!r}; there are logs of {', '.join(found)}")
    names = [service] if service else found
    width = 0 if service else max(map(len, names))

    def show(name: str, text: list[str]) -> None:
        for line in text:
            typer.echo(f"{name:{width}}  {line}" if width else line)

    tails = {name: Tail(folder / f"{name}.log") for name in names}
    for name, tail in tails.items():
        show(name, tail.last(lines))
    while follow:
        time.sleep(0.3)
        for name, tail in tails.items():
            show(name, tail.more())

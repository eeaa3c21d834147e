"""`activity doctor`: check this machine and the configuration."""

from __future__ import annotations

import typer
from rich.text import Text

from activitymodule.jobs import options, output
from activitymodule.settings import load
from activitymodule.workflows import diagnosis
from activitymodule.workflows.retention import results
from activitymodule.workflows.retention import sizes as retention

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MARKS = {"good": ("ok", "green"), "note": ("--", "yellow"), "bad": ("NO", "red")}


@app.command(epilog="Example: activity doctor --json")
def doctor(as_json: bool = options.JSON) -> None:
    """Check this machine and the configuration; each fault with its remedy. Then what grows, how large it is and how
    long it is kept. Ends with code 3 if something is wrong."""
    findings = diagnosis.examine()
    good = all(finding.state != "bad" for finding in findings)
    valid = any(finding.check == "configuration" and finding.state == "good" for finding in findings)
    sizes = retention.sizes(load()) if valid else []
    if as_json:
        output.print_json({"good": good, "findings": findings, "sizes": sizes})
    else:
        output.print_table(
            ("", "check", "result", "remedy"),
            [(Text(*_MARKS[one.state]), one.check, one.result, Text(one.remedy, "bold")) for one in findings],
        )
        if sizes:
            typer.echo()
            output.print_table(("what grows", "size", "rows or files", "kept", "where"), map(_row, sizes))
    if not good:
        raise typer.Exit(3)


def _row(one: results.Size) -> tuple[object, ...]:
    count = "-" if one.count is None else f"{one.count:,}"
    return one.name, results.size_text(one.bytes), count, retention.kept(load(), one), one.where

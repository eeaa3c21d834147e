"""`activity doctor`: check this machine and the configuration."""

from __future__ import annotations

import typer
from rich.text import Text

from activitymodule.jobs import options, output
from activitymodule.workflows import diagnosis

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_MARKS = {"good": ("ok", "green"), "note": ("--", "yellow"), "bad": ("NO", "red")}


@app.command(epilog="Example: activity doctor --json")
def doctor(as_json: bool = options.JSON) -> None:
    """Check this machine and the configuration; each fault with its remedy. Ends with code 3 if something is wrong."""
    findings = diagnosis.examine()
    good = all(finding.state != "bad" for finding in findings)
    if as_json:
        output.print_json({"good": good, "findings": findings})
    else:
        output.print_table(
            ("", "check", "result", "remedy"),
            [(Text(*_MARKS[one.state]), one.check, one.result, Text(one.remedy, "bold")) for one in findings],
        )
    if not good:
        raise typer.Exit(3)

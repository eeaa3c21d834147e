"""`activity demo-loop`: run the closed loop: stream, queue, labels, retraining, promotion."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import project_root, settings
from activitymodule.workflows import closed_loop, closed_loop_figure
from activitymodule.workflows.requests import LoopPlan

SECTION = "Demos"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity demo-loop --figure docs/figures/closed-loop.svg")
def demo_loop(
    watches: int = typer.Option(LoopPlan.watches, min=5, help="Watches in the fleet."),
    speed: float = typer.Option(
        LoopPlan.speed, min=1, callback=options.finite, help="Of the fleet; 1: real time."
    ),
    teaching: int = typer.Option(LoopPlan.teaching, min=20, help="Training labels to wait for."),
    audit: int = typer.Option(LoopPlan.audit, min=20, help="Audit labels to wait for."),
    error_rate: float = typer.Option(LoopPlan.error_rate, min=0, max=1, help="Share of wrong labels."),
    seconds: float = typer.Option(
        LoopPlan.at_most_seconds,
        min=30,
        callback=options.finite,
        help="Give up where the labels are not there after this many seconds.",
    ),
    figure: Path = typer.Option(None, help="Also draw the result to this file."),
    keep: bool = typer.Option(False, help="Leave the embedded stack running at the end."),
    as_json: bool = options.JSON,
) -> None:
    """The closed loop: a weak champion, a stream, labels of a simulated annotator, retraining, gate, promotion.

    It uses a database, topics, models and folders of its own; yours stay as they are. About five minutes.
    """
    plan = LoopPlan(
        watches=watches,
        speed=speed,
        teaching=teaching,
        audit=audit,
        error_rate=error_rate,
        at_most_seconds=seconds,
    )
    loop = closed_loop.run(settings(), plan, say=_say, keep=keep)
    for path in filter(None, (project_root() / "reports" / "closed-loop.svg", figure)):
        closed_loop_figure.draw(loop, path)
        _say(f"drawn: {path}")
    if as_json:
        output.print_json(loop)
        return
    typer.echo(f"{loop.state}: {loop.summary}")
    for one in (loop.before, loop.after):
        typer.echo(
            f"version {one.version}: macro-F1 {one.macro_f1:.3f} (95 % confidence interval over people: "
            f"{one.low:.3f} to {one.high:.3f}) on {loop.people} people neither model has seen"
        )
    typer.echo(f"gain {loop.gain:+.3f} ({loop.gain_low:+.3f} to {loop.gain_high:+.3f})")


def _say(sentence: str) -> None:
    typer.echo(f"    {sentence}", err=True)

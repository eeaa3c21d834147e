"""`activity demo-loop`: run the closed loop: stream, queue, labels, retraining, promotion."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import resolve, settings
from activitymodule.workflows import closed_loop, closed_loop_figure, closed_loop_people
from activitymodule.workflows.requests import PEOPLE_PLAN, LoopPlan, RecordedPeople

SECTION = "Demos"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RECORDINGS = typer.Option(
    None, help="Stream recorded people instead: what `activity replay` takes. Half of them are asked."
)
_CHAMPION = typer.Option(
    RecordedPeople.champion,
    help="With --recordings, what the first champion learns from: wisdm, synthetic, or as `activity train --data`.",
)
_SPLIT = typer.Option(RecordedPeople.seed, min=0, help="With --recordings, the seed of who is asked.")
_CURVES = typer.Option(
    RecordedPeople.curves, help="With --recordings, also retrain in memory by fewer and by random labels."
)


@app.command(epilog="Example: activity demo-loop --figure docs/figures/closed-loop.svg")
def demo_loop(
    watches: int = typer.Option(LoopPlan.watches, min=5, help="Watches in the fleet."),
    recordings: str = _RECORDINGS,
    champion: str = _CHAMPION,
    split: int = _SPLIT,
    curves: bool = _CURVES,
    speed: float = typer.Option(
        None,
        min=1,
        callback=options.finite,
        help="Of the stream; 1: real time.  [default: 10; recordings: 4]",
    ),
    teaching: int = typer.Option(
        None, min=20, help="Training labels to wait for.  [default: 250; recordings: 80]"
    ),
    audit: int = typer.Option(
        None, min=20, help="Audit labels to wait for.  [default: 300; recordings: 100]"
    ),
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

    It uses a database, topics, models and folders of its own; yours stay as they are. About five minutes. With
    --recordings the watches are recorded people; both versions are compared on those who were never asked.
    """
    usual = LoopPlan() if recordings is None else PEOPLE_PLAN
    plan = replace(
        usual,
        watches=watches,
        speed=usual.speed if speed is None else speed,
        teaching=usual.teaching if teaching is None else teaching,
        audit=usual.audit if audit is None else audit,
        error_rate=error_rate,
        at_most_seconds=seconds,
    )
    if recordings is not None:
        who = RecordedPeople(recordings, champion=champion, seed=split, curves=curves)
        plan = replace(plan, people=who)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loop = closed_loop.run(settings(), plan, say=_say, keep=keep)
    for path in filter(None, (resolve(settings().reports.folder) / "closed-loop.svg", figure)):
        closed_loop_figure.draw(loop, path)
        _say(f"drawn: {path}")
    if as_json:
        output.print_json(loop)
        return
    _show(loop)


def _show(loop: closed_loop.Loop) -> None:
    typer.echo(f"{loop.state}: {loop.summary}")
    for one in (loop.before, loop.after):
        typer.echo(
            f"version {one.version}: macro-F1 {one.macro_f1:.3f} (95 % confidence interval over people: "
            f"{one.low:.3f} to {one.high:.3f}) on {loop.people} people neither model has seen"
        )
    typer.echo(f"gain {loop.gain:+.3f} ({loop.gain_low:+.3f} to {loop.gain_high:+.3f})")
    if loop.recorded is not None:
        _show_people(loop, loop.recorded)


def _show_people(loop: closed_loop.Loop, found: closed_loop_people.Recorded) -> None:
    typer.echo(f"asked: {', '.join(found.asked)}; never asked: {', '.join(found.never)}")
    typer.echo(
        f"accuracy on those who were never asked {loop.before.accuracy:.3f} to {loop.after.accuracy:.3f}"
    )
    if found.served is not None:
        typer.echo(
            f"of the stream itself, by the version that serves: {found.served:.3f} of {found.served_windows} windows"
        )
    for strategy, points in found.curves.items():
        typer.echo(f"in memory, {strategy}: " + ", ".join(f"{n} labels {share:.3f}" for n, share in points))


def _say(sentence: str) -> None:
    typer.echo(f"    {sentence}", err=True)

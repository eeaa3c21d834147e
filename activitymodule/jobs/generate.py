"""`activity generate`: send the readings of a synthesised fleet to Kafka."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import typer

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.settings import Faults, settings
from activitymodule.streaming import generate as streaming
from activitymodule.synthesis import faults as synthesis
from activitymodule.synthesis import figures
from activitymodule.workflows import generating
from activitymodule.workflows.cloud.reference import local_reference

SECTION = "Stream"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="Example: activity generate --devices 100 --speed 10 --seconds 600 --faults late=.1,duplicate=.02"
)
def generate(
    devices: int | None = typer.Option(None, help="Number of watches (fleet.devices)."),
    speed: str | None = typer.Option(
        None,
        help="1: real time; 10: ten times faster, starting in the past; max: as fast as possible (fleet.speed).",
    ),
    seconds: int | None = typer.Option(None, help="End after this many seconds of simulated time."),
    messages: int | None = typer.Option(None, help="End after about this many messages of readings."),
    start: str | None = typer.Option(
        None, help="First second, ISO-8601.  [default: now, or in the past where speed is not 1]"
    ),
    seed: int | None = typer.Option(None, help="Same seed, same readings (fleet.seed)."),
    engine: str | None = typer.Option(None, help="dbldatagen or spark: the same rows (fleet.engine)."),
    readings_per_message: int | None = typer.Option(None, help="1 to 10 (fleet.readings_per_message)."),
    faults: str | None = typer.Option(
        None, help=f"Shares of {', '.join(Faults.model_fields)}; as in late=.1,gap=.05."
    ),
    people: bool = typer.Option(True, help="Write who wears the watches into the table people."),
    figure: Path | None = typer.Option(
        None, help="Draw the fleet's plans, bodies and readings into this folder and end; send nothing."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Send the readings of a synthesised fleet to Kafka. Ctrl-C ends it in order."""
    config = generating.with_fleet(
        settings(),
        devices=devices,
        speed=None if speed is None else options.speed_of(speed) or 0.0,
        seed=seed,
        engine=engine,
        readings_per_message=readings_per_message,
        faults=None if faults is None else parse_faults(faults),
    )
    if figure is not None:
        for path in figures.draw(figure, local_reference(config, config.fleet.reference), config.fleet.seed):
            typer.echo(str(path))
        return
    line = _Line()
    try:
        generated = generating.generate(
            config,
            start=None if start is None else parse_start(start),
            seconds=seconds,
            messages=messages,
            store_people=people,
            warn=lambda text: typer.secho(f"activity: {text}", err=True),
            progress=line.show,
        )
    finally:
        line.close()
    if as_json:
        output.print_json(generated)


def parse_faults(text: str) -> dict[str, float]:
    """`late=.1,gap=.05` as shares by name."""
    shares: dict[str, float] = {}
    for part in options.names_of(text) or ():
        name, sign, share = part.partition("=")
        if not sign or name not in Faults.model_fields:
            raise ConfigError(
                f"--faults is NAME=SHARE,... of {', '.join(Faults.model_fields)}; given: {part}"
            )
        try:
            shares[name] = float(share)
        except ValueError:
            raise ConfigError(f"the share of {name} must be a number from 0 to 1; given: {share}") from None
    return shares


def parse_start(text: str) -> int:
    """UTC seconds of an ISO-8601 time; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--start is a time such as 2026-01-31T09:00:00Z; given: {text}") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


class _Line:
    """Progress on stderr: one line that is rewritten on a terminal, a line every 10 s elsewhere."""

    def __init__(self) -> None:
        self._sent: streaming.Sent | None = None
        self._terminal = sys.stderr.isatty()
        self._shown: float | None = None  # elapsed seconds of the last line

    def show(self, run: synthesis.Run, sent: streaming.Sent) -> None:
        before, self._sent = self._sent, sent
        elapsed = sent.elapsed_seconds - (before.elapsed_seconds if before else 0.0)
        messages = sent.messages - (before.messages if before else 0)
        if not self._terminal and self._shown is not None and sent.elapsed_seconds - self._shown < 10:
            return
        self._shown = sent.elapsed_seconds
        at = datetime.fromtimestamp(run.first_second + sent.simulated_seconds, UTC)
        text = (
            f"{run.devices:,} watches, {messages / elapsed if elapsed > 0 else 0:,.0f} messages/s, "
            f"{sent.readings:,} readings sent, their time {at:%Y-%m-%d %H:%M:%S} UTC"
        )
        sys.stderr.write(f"\r{text:<100}" if self._terminal else text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        sent = self._sent
        if sent is None:
            return
        sys.stderr.write("\n" if self._terminal else "")
        sys.stderr.write(
            f"sent {sent.readings:,} readings in {sent.messages:,} messages, {sent.truths:,} truths, in "
            f"{sent.elapsed_seconds:,.0f} s\n"
        )

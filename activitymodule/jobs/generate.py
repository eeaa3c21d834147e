"""`activity generate`: a synthesised fleet of watches sends its readings to Kafka."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ActivityError, ConfigError
from activitymodule.settings import Settings, build, settings

if TYPE_CHECKING:
    from activitymodule.streaming.generate import Sent
    from activitymodule.synthesis.faults import Run

EXAMPLE = "Example: activity generate --devices 100 --speed 10 --seconds 600 --faults late=.1,duplicate=.02"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Send a synthesised fleet of watches to Kafka.",
    epilog=EXAMPLE,
)


@app.command(epilog=EXAMPLE)
def generate(
    devices: int | None = typer.Option(None, help="How many watches (fleet.devices)."),
    speed: str | None = typer.Option(
        None,
        help="1: real time; 10: ten times faster, from the past on; max: as fast as it goes (fleet.speed).",
    ),
    seconds: int | None = typer.Option(None, help="End after so many seconds of simulated time."),
    messages: int | None = typer.Option(None, help="End after about so many messages of readings."),
    start: str | None = typer.Option(
        None, help="First second, ISO-8601; by default now, or in the past where speed is not 1."
    ),
    seed: int | None = typer.Option(None, help="Same seed, same readings (fleet.seed)."),
    engine: str | None = typer.Option(None, help="dbldatagen or spark: the same rows (fleet.engine)."),
    readings_per_message: int | None = typer.Option(None, help="1 to 10 (fleet.readings_per_message)."),
    faults: str | None = typer.Option(
        None, help="Shares: gap, late, duplicate, clock_skew, malformed, flat; as in late=.1,gap=.05."
    ),
    people: bool = typer.Option(True, help="Write who wears the watches into the table people."),
    figure: Path | None = typer.Option(
        None, help="Draw the fleet's plans, bodies and readings into this folder and end; sends nothing."
    ),
    json_: bool = typer.Option(False, "--json", help="Print what was sent as JSON at the end."),
) -> None:
    """Send a synthesised fleet of watches to Kafka. Ctrl-C ends it cleanly."""
    given: dict[str, Any] = {
        "devices": devices,
        "speed": None if speed is None else parse_speed(speed),
        "seed": seed,
        "engine": engine,
        "readings_per_message": readings_per_message,
        "faults": None if faults is None else parse_faults(faults),
    }
    chosen = overlaid(settings(), {key: value for key, value in given.items() if value is not None})
    if figure is not None:
        from activitymodule.synthesis.figures import draw

        for path in draw(figure, chosen.fleet.reference, chosen.fleet.seed):
            typer.echo(str(path))
        return
    run(
        chosen,
        start=None if start is None else parse_start(start),
        seconds=seconds,
        messages=messages,
        people=people,
        json_=json_,
    )


def run(
    chosen: Settings,
    *,
    start: int | None,
    seconds: int | None,
    messages: int | None,
    people: bool,
    json_: bool,
) -> None:
    """The job of the command line and of spark-submit."""
    from activitymodule.streaming import generate as job
    from activitymodule.streaming.session import spark_session

    this = job.fleet_run(chosen, start=start, seconds=seconds, messages=messages)
    job.require_broker(chosen)
    prepare(chosen, this, people)
    spark = spark_session(chosen, "generate")
    # Spark took its time to start: now is later
    this = job.fleet_run(chosen, start=start, seconds=seconds, messages=messages)
    progress = Line(this)
    stop = Stop()
    try:
        if chosen.fleet.speed == 0:
            job.bounded(chosen, this, spark=spark, on_progress=progress, stopped=stop.asked)
        else:
            job.live(chosen, this, spark=spark, on_progress=progress, stopped=stop.asked)
    finally:
        progress.close()
    if json_:
        typer.echo(
            json.dumps({**asdict(progress.sent), "first_second": this.first_second, "seed": this.seed})
        )


def prepare(chosen: Settings, this: Run, people: bool) -> None:
    """What a fleet needs: topics, and its people in the store; where there is no store, a warning."""
    from activitymodule.kafka import topics

    topics.create(chosen)
    if not people:
        return
    from activitymodule.store.connection import session
    from activitymodule.store.people import upsert_people
    from activitymodule.synthesis import people as who

    try:
        with session(chosen) as connection:
            upsert_people(connection, who.people(this.devices, this.seed))
    except ActivityError as error:
        typer.secho(f"activity: people are not stored: {error}", err=True)


def overlaid(base: Settings, fleet: dict[str, Any]) -> Settings:
    """Settings with keys of `fleet` replaced, validated like a file's."""
    if not fleet:
        return base
    checked = build({"fleet": {**base.fleet.model_dump(), **fleet}}).fleet
    return base.model_copy(update={"fleet": checked})


def parse_speed(text: str) -> float:
    """`max` is 0: as fast as it goes."""
    if text == "max":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 10_000:
        raise ConfigError(f"--speed is a number above 0, or max; given: {text}")
    return value


def parse_faults(text: str) -> dict[str, float]:
    """`late=.1,gap=.05` as shares by name."""
    from activitymodule.settings import Faults

    shares: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
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
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--start is a time such as 2026-01-31T09:00:00Z; given: {text}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


class Stop:
    """Ctrl-C or SIGTERM asks the fleet to stop; a second one insists.

    An exception in the middle of a call to the JVM, which is what Python and Spark make of Ctrl-C, leaves a
    stream
    that can no longer be stopped in order. So the signal only leaves word.
    """

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def asked(self) -> bool:
        return self._asked

    def _ask(self, number: int, frame: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


class Line:
    """One line on stderr that says how it goes: rewritten on a terminal, now and then elsewhere."""

    def __init__(self, this: Run) -> None:
        from activitymodule.streaming.generate import Sent

        self.sent: Sent = Sent()
        self._run = this
        self._terminal = sys.stderr.isatty()
        self._said = 0.0

    def __call__(self, sent: Sent) -> None:
        elapsed = sent.elapsed_seconds - self.sent.elapsed_seconds
        rate = (sent.messages - self.sent.messages) / elapsed if elapsed > 0 else 0.0
        self.sent = sent
        if not self._terminal and sent.elapsed_seconds - self._said < 10 and self._said:
            return
        self._said = sent.elapsed_seconds
        at = datetime.fromtimestamp(self._run.first_second + sent.simulated_seconds, UTC)
        text = (
            f"{self._run.devices:,} watches, {rate:,.0f} messages/s, {sent.readings:,} readings sent, "
            f"their time {at:%Y-%m-%d %H:%M:%S} UTC"
        )
        sys.stderr.write(f"\r{text:<100}" if self._terminal else text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        if self._terminal and self._said:
            sys.stderr.write("\n")
        sys.stderr.write(
            f"sent {self.sent.readings:,} readings in {self.sent.messages:,} messages, "
            f"{self.sent.truths:,} truths, in {self.sent.elapsed_seconds:,.0f} s\n"
        )

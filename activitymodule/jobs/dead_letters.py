"""`activity dead-letters`: list messages that could not be used, and send them again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import typer

from activitymodule import files
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import dead_letters
from activitymodule.workflows import dead_letters as workflow

SECTION = "Stream"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity dead-letters summary",
)

_TOPIC = typer.Option(None, help="Only of this topic.")
_REASON = typer.Option(None, help="Only with this reason, such as not_json (docs/telemetry.md lists them).")


def _selection(
    topic: str | None, reason: str | None, device: str | None, since: str | None
) -> dead_letters.Selection:
    return dead_letters.Selection(topic=topic, reason=reason, device_id=device, since=options.since_of(since))


def _read(selection: dead_letters.Selection, limit: int | None = None) -> list[dead_letters.DeadLetter]:
    with store.session(settings(), read_only=True) as connection:
        return dead_letters.list_dead_letters(connection, selection, limit=limit)


def _text(letter: dead_letters.DeadLetter) -> str:
    return (letter.payload or b"").decode("utf-8", "backslashreplace")


@app.command("list", epilog="Example: activity dead-letters list --reason not_json --since 12h")
def list_(
    topic: str = _TOPIC,
    reason: str = _REASON,
    device: str = options.DEVICE,
    since: str = options.SINCE,
    limit: int = typer.Option(50, min=1, help="Dead letters at most, the newest first."),
    as_json: bool = options.JSON,
) -> None:
    """List dead letters: where each came from, why it could not be used, how it begins."""
    letters = _read(_selection(topic, reason, device, since), limit)
    if as_json:
        output.print_json(letters)
    elif not letters:
        typer.echo("no dead letters")
    else:
        output.print_table(
            ("noticed (UTC)", "place", "watch", "reason", "detail", "begins"),
            [
                (
                    one.noticed_at,
                    workflow.place_of(one),
                    one.device_id,
                    one.reason,
                    one.detail,
                    output.safe(_text(one), 40),
                )
                for one in letters
            ],
            longest=80,
        )


@app.command(epilog="Example: activity dead-letters summary --json")
def summary(as_json: bool = options.JSON) -> None:
    """Count dead letters by topic and reason."""
    with store.session(settings(), read_only=True) as connection:
        counts = dead_letters.summarize_dead_letters(connection)
    if as_json:
        output.print_json(counts)
    elif not counts:
        typer.echo("no dead letters")
    else:
        output.print_table(
            (
                "topic",
                "reason",
                "letters",
                "watches",
                "sent again",
                "first (UTC)",
                "last (UTC)",
                "an example",
            ),
            [tuple(count.__dict__.values()) for count in counts],
            longest=60,
        )


@app.command(epilog="Example: activity dead-letters show ticker-watch-data/0/1234")
def show(
    place: str = typer.Argument(
        ..., help="topic/partition/offset, or topic/partition/offset/item, as `list` prints."
    ),
    as_json: bool = options.JSON,
    longest: int = typer.Option(4000, min=1, help="Characters of the message, at most."),
) -> None:
    """Show a dead letter with its message; control characters are escaped."""
    letters = workflow.at_place(settings(), place)
    if as_json:
        output.print_json(letters)
        return
    for newer, letter in zip([None, *letters], letters, strict=False):
        if newer is not None and newer.topic_id != letter.topic_id:
            # a topic created again has the same places
            typer.echo(output.safe(_text(newer), longest) + "\n")
        typer.echo(f"{workflow.place_of(letter)}  {letter.reason}: {output.safe(letter.detail or '-')}")
        watch = output.safe(letter.device_id or "-")
        typer.echo(f"  watch {watch}; reached Kafka {output.cell(letter.kafka_at)} UTC")
        if letter.replayed_at:
            typer.echo(f"  sent again {output.cell(letter.replayed_at)} UTC")
    typer.echo(output.safe(_text(letters[-1]), longest))


@app.command(epilog="Example: activity dead-letters export --since 7d letters.jsonl")
def export(
    path: Path = typer.Argument(Path("-"), help="File to write; - is standard output."),
    topic: str = _TOPIC,
    reason: str = _REASON,
    device: str = options.DEVICE,
    since: str = options.SINCE,
) -> None:
    """Write dead letters as JSON lines; payload_base64 is the message, to the byte."""
    letters = _read(_selection(topic, reason, device, since))
    if str(path) == "-":
        output.print_text("".join(_lines(letters)))
        return
    with files.written_beside(path) as part, part.open("w", encoding="utf-8") as out:
        out.writelines(_lines(letters))
    typer.echo(f"{len(letters):,} dead letters in {path}", err=True)


def _lines(letters: list[dead_letters.DeadLetter]) -> Iterator[str]:
    for letter in letters:
        row = dict(vars(letter))
        payload = row.pop("payload")
        row["payload_base64"] = None if payload is None else base64.b64encode(payload).decode()
        yield output.json_line(row) + "\n"


@app.command(epilog="Example: activity dead-letters replay --reason stamp_from_the_future --since 2d")
def replay(
    topic: str = _TOPIC,
    reason: str = _REASON,
    device: str = options.DEVICE,
    since: str = options.SINCE,
    to: str = typer.Option(None, help="Topic to send them to.  [default: the one each came from]"),
    again: bool = typer.Option(False, help="Also those that were sent again before."),
    dry_run: bool = typer.Option(False, help="Send nothing; only count the messages."),
    as_json: bool = options.JSON,
) -> None:
    """Send the messages of dead letters to Kafka again, once each, and record it.

    Good readings of the same message are recognised by their stamps and count once.
    """
    result = workflow.send_again(
        settings(), _selection(topic, reason, device, since), to=to, again=again, dry_run=dry_run
    )
    if as_json:
        output.print_json(result)
        return
    act = "sent" if result.sent else "would send"
    typer.echo(f"{act} {result.messages:,} messages" if result.messages else "nothing to send again")
    if result.left_out:
        typer.echo(
            f"left out: {result.left_out:,} that are empty or longer than the "
            f"{dead_letters.PAYLOAD_BYTES // 1024} KiB that are stored",
            err=True,
        )

"""`activity dead-letters`: what could not be used, why, and how to send it again."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ConfigError, DataError
from activitymodule.settings import Settings, settings

if TYPE_CHECKING:
    from activitymodule.store.dead_letters import DeadLetter, Selection

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List what could not be used, and why; send it again after a fix.",
    epilog="Example: activity dead-letters summary",
)

_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")
_TOPIC = typer.Option(None, help="Only of this topic.")
_REASON = typer.Option(None, help="Only with this reason, such as not_json.")
_DEVICE = typer.Option(None, help="Only of this watch.")
_SINCE = typer.Option(None, help="Only since then: 2026-11-20T10:00 (UTC), or 30m, 12h, 7d ago.")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | None) -> datetime | None:
    """`30m`, `12h`, `7d` ago, or an ISO-8601 time (UTC where it has no offset)."""
    if text is None:
        return None
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"{text} is no time; write 2026-11-20T10:00, or 30m, 12h, 7d for so long ago"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _selection(topic: str | None, reason: str | None, device: str | None, since: str | None) -> Selection:
    from activitymodule.store.dead_letters import Selection

    return Selection(topic=topic, reason=reason, device_id=device, since=moment(since))


def _place(letter: DeadLetter) -> str:
    item = "" if letter.item < 0 else f"/{letter.item}"
    return f"{letter.topic}/{letter.partition}/{letter.offset}{item}"


def _as_dict(letter: DeadLetter) -> dict[str, Any]:
    found = dict(letter.__dict__)
    found["payload"] = None if letter.payload is None else letter.payload.decode("utf-8", "backslashreplace")
    return found


@app.command("list", epilog="Example: activity dead-letters list --reason not_json --since 12h")
def list_(
    topic: str = _TOPIC,
    reason: str = _REASON,
    device: str = _DEVICE,
    since: str = _SINCE,
    limit: int = typer.Option(50, min=1, help="Letters at the most, the newest first."),
    as_json: bool = _JSON,
) -> None:
    """List dead letters: where each came from, why it could not be used, how it begins."""
    from activitymodule.jobs.output import print_json, print_table, safe
    from activitymodule.store.connection import session
    from activitymodule.store.dead_letters import list_dead_letters

    chosen = _selection(topic, reason, device, since)
    with session(settings(), read_only=True) as connection:
        letters = list_dead_letters(connection, chosen, limit=limit)
    if as_json:
        print_json([_as_dict(letter) for letter in letters])
        return
    if not letters:
        typer.echo("no dead letters")
        return
    print_table(
        ("noticed (UTC)", "place", "watch", "reason", "detail", "begins"),
        [
            (
                letter.noticed_at,
                _place(letter),
                letter.device_id,
                letter.reason,
                letter.detail,
                safe((letter.payload or b"")[:80].decode("utf-8", "backslashreplace"), 40),
            )
            for letter in letters
        ],
        longest=80,
    )


@app.command(epilog="Example: activity dead-letters summary --json")
def summary(as_json: bool = _JSON) -> None:
    """Count dead letters by topic and reason."""
    from activitymodule.jobs.output import print_json, print_table
    from activitymodule.store.connection import session
    from activitymodule.store.dead_letters import summarize_dead_letters

    with session(settings(), read_only=True) as connection:
        counts = summarize_dead_letters(connection)
    if as_json:
        print_json([count.__dict__ for count in counts])
        return
    if not counts:
        typer.echo("no dead letters")
        return
    print_table(
        ("topic", "reason", "letters", "watches", "sent again", "first (UTC)", "last (UTC)", "an example"),
        [tuple(count.__dict__.values()) for count in counts],
        longest=60,
    )


@app.command(epilog="Example: activity dead-letters show ticker-watch-data/0/1234")
def show(
    place: str = typer.Argument(
        ..., help="topic/partition/offset, or topic/partition/offset/item, as `list` prints."
    ),
    as_json: bool = _JSON,
    longest: int = typer.Option(4000, min=1, help="Characters of the message at the most."),
) -> None:
    """Show a dead letter with its message; control characters are escaped."""
    from activitymodule.jobs.output import print_json, safe, shown
    from activitymodule.store.connection import session
    from activitymodule.store.dead_letters import Selection, list_dead_letters

    match = re.fullmatch(r"([^/]+)/(\d+)/(\d+)(?:/(\d+))?", place)
    if not match:
        raise ConfigError(
            f"{place} is no place; write topic/partition/offset, such as ticker-watch-data/0/1234"
        )
    chosen = Selection(
        topic=match[1],
        partition=int(match[2]),
        offset=int(match[3]),
        item=None if match[4] is None else int(match[4]),
    )
    with session(settings(), read_only=True) as connection:
        letters = list_dead_letters(connection, chosen, limit=None)
    if not letters:
        raise DataError(
            f"there is no dead letter at {place}; `activity dead-letters list` shows where there are"
        )
    if as_json:
        print_json([_as_dict(letter) for letter in letters])
        return
    for letter in letters:
        typer.echo(f"{_place(letter)}  {letter.reason}: {safe(letter.detail or '-')}")
        typer.echo(f"  watch {safe(letter.device_id or '-')}; reached Kafka {shown(letter.kafka_at)} UTC")
        if letter.replayed_at:
            typer.echo(f"  sent again {shown(letter.replayed_at)} UTC")
    typer.echo(safe((letters[0].payload or b"").decode("utf-8", "backslashreplace"), longest))


@app.command(epilog="Example: activity dead-letters export --since 7d letters.jsonl")
def export(
    path: Path = typer.Argument(Path("-"), help="File to write; - is standard output."),
    topic: str = _TOPIC,
    reason: str = _REASON,
    device: str = _DEVICE,
    since: str = _SINCE,
) -> None:
    """Write dead letters as JSON lines; payload_base64 is the message as it came, to the byte."""
    from activitymodule.jobs.output import plain
    from activitymodule.store.connection import session
    from activitymodule.store.dead_letters import list_dead_letters

    chosen = _selection(topic, reason, device, since)
    with session(settings(), read_only=True) as connection:
        letters = list_dead_letters(connection, chosen, limit=None)

    def lines() -> Iterator[str]:
        for letter in letters:
            row = dict(letter.__dict__)
            payload = row.pop("payload")
            row["payload_base64"] = None if payload is None else base64.b64encode(payload).decode()
            yield json.dumps(plain(row), ensure_ascii=False) + "\n"

    if str(path) == "-":
        sys.stdout.writelines(lines())
        return
    try:
        with path.open("w") as out:
            out.writelines(lines())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    typer.echo(f"{len(letters):,} dead letters in {path}", err=True)


@app.command(epilog="Example: activity dead-letters replay --reason from_the_future --since 2d")
def replay(
    topic: str = _TOPIC,
    reason: str = _REASON,
    device: str = _DEVICE,
    since: str = _SINCE,
    to: str = typer.Option(None, help="Topic to send them to; the one they came from if left out."),
    again: bool = typer.Option(False, help="Also those that were sent again before."),
    dry_run: bool = typer.Option(False, help="Only say what would be sent."),
    as_json: bool = _JSON,
) -> None:
    """Send the messages of dead letters to Kafka again, once each, and note that it was done.

    Good readings of the same message are recognised by their stamps and count once.
    """
    from activitymodule.jobs.output import print_json
    from activitymodule.store.dead_letters import PAYLOAD_BYTES

    chosen = _selection(topic, reason, device, since)
    sent, cut = send_again(settings(), chosen, to=to, again=again, dry_run=dry_run)
    if as_json:
        print_json({"messages": sent, "left_out": cut, "sent": not dry_run})
        return
    typer.echo(
        f"{'would send' if dry_run else 'sent'} {sent:,} messages" if sent else "nothing to send again"
    )
    if cut:
        typer.echo(
            f"{cut:,} are empty or longer than the {PAYLOAD_BYTES // 1024} KiB that are kept: left out",
            err=True,
        )


def send_again(
    config: Settings,
    selection: Selection,
    *,
    to: str | None = None,
    again: bool = False,
    dry_run: bool = False,
) -> tuple[int, int]:
    """Send the messages of dead letters to Kafka again, once each, and note it; how many were (or would be) sent, and
    how many were left out because they are empty or were cut.

    again : also those that were sent again before. Raises ServiceUnavailableError where Kafka or the store is away.
    """
    from dataclasses import replace

    from activitymodule.kafka.clients import producer
    from activitymodule.store.connection import session
    from activitymodule.store.dead_letters import PAYLOAD_BYTES, list_dead_letters, mark_replayed

    chosen = replace(selection, replayed=None if again else False)
    with session(config) as connection:
        letters = list_dead_letters(connection, chosen, limit=None)
        connection.commit()  # sending takes a while; no transaction stays open for it
        # one message may have several bad items
        messages: dict[tuple[str, int, int], DeadLetter] = {}
        for letter in reversed(letters):
            messages.setdefault((letter.topic, letter.partition, letter.offset), letter)
        whole = {p: m for p, m in messages.items() if m.payload and len(m.payload) < PAYLOAD_BYTES}
        if whole and not dry_run:
            with producer(config) as out:
                sent = [
                    out.send(
                        to or letter.topic,
                        letter.payload,
                        key=letter.device_id.encode() if letter.device_id else None,
                    )
                    for letter in whole.values()
                ]
                out.flush()
                for one in sent:
                    one.get(timeout=30)
            mark_replayed(connection, list(whole))
    return len(whole), len(messages) - len(whole)

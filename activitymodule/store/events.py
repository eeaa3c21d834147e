"""Activity events as they are told: the message, the outbox in its order, and how far each sender has come."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row

Kind = Literal["began", "ended", "corrected", "withdrawn"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Stamp = Annotated[
    datetime,
    PlainSerializer(_stamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ActivityEvent(BaseModel):
    """A person's activity changed: a bout began or ended, or what was told of one is corrected or withdrawn.

    Messages of a watch come in order, each at least once. Of a bout, the one with the greatest revision holds.
    """

    model_config = ConfigDict(
        frozen=True, json_schema_serialization_defaults_required=True, title="Activity event"
    )

    version: Literal[1] = Field(1, description="Of this schema; fields may be added without a new one.")
    id: UUID = Field(description="The same for the same event, however often it comes.")
    sequence: int = Field(description="Rises from event to event of this store.")
    kind: Kind = Field(
        description="began: a bout goes on now. ended: it is over. corrected: late or better readings changed a "
        "bout that was told, and this is what holds. withdrawn: there is no such bout after all."
    )
    bout: UUID = Field(description="The bout: a watch and the start.")
    revision: int = Field(description="Of what is told of this bout, from 0.", ge=0)
    device_id: str = Field(description="The watch.")
    participant: str | None = Field(None, description="Who wore it, where that is known.")
    activity: str = Field(description="The smoothed activity.")
    start: Stamp = Field(description="When the bout began, UTC.")
    end: Stamp | None = Field(None, description="When it ended, UTC; null while it goes on.")
    minutes: float | None = Field(None, description="How long it was; null while it goes on.")
    kcal: float | None = Field(
        None, description="Energy expenditure over the bout; null where the model knows none."
    )
    told_at: Stamp = Field(description="When it was written, by the store's clock, UTC.")

    def message(self) -> bytes:
        """As the topic and webhooks get it: JSON on one line."""
        return self.model_dump_json().encode()


def schema_text() -> str:
    """The JSON Schema of a message, as the committed file holds it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ActivityEvent.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"


_FIELDS = {
    "id": "event_id",
    "sequence": "sequence",
    "kind": "kind",
    "bout": "bout_id",
    "revision": "revision",
    "device_id": "device_id",
    "participant": "participant",
    "activity": "activity",
    "start": "bout_start",
    "end": "bout_end",
    "minutes": "minutes",
    "kcal": "kcal",
    "told_at": "told_at",
}
_AFTER = f"""
SELECT {", ".join(_FIELDS.values())} FROM activity_events
WHERE sequence > %s AND (%s::text[] IS NULL OR kind = ANY (%s)) ORDER BY sequence LIMIT %s
"""


def events_after(
    connection: Connection, sequence: int, *, kinds: list[str] | None = None, limit: int = 1000
) -> list[ActivityEvent]:
    """The next events after this one, in order. kinds : only these"""
    rows = fetch_all(connection, _AFTER, (sequence, kinds, kinds, limit))
    return [ActivityEvent.model_validate(dict(zip(_FIELDS, row, strict=True))) for row in rows]


def newest_sequence(connection: Connection) -> int:
    """The number of the last event; 0 before the first."""
    return int(fetch_one(connection, "SELECT coalesce(max(sequence), 0) FROM activity_events")[0])


def sent_until(connection: Connection, sender: str) -> int:
    """The last event that a sender has sent; 0 where it has sent none."""
    row = fetch_row(connection, "SELECT sequence FROM event_senders WHERE name = %s", (sender,))
    return row[0] if row else 0


_SENT = """
INSERT INTO event_senders (name, sequence) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, sent_at = clock_timestamp()
"""


def record_sent(connection: Connection, sender: str, sequence: int) -> None:
    """Record how far a sender has come."""
    execute(connection, _SENT, (sender, sequence))


@dataclass(frozen=True)
class Outbox:
    """told : events so far; unsent, oldest_seconds : those that a sender has still to send, 0 where none waits"""

    told: int
    unsent: int
    oldest_seconds: float


_OUTBOX = """
SELECT (SELECT coalesce(max(sequence), 0) FROM activity_events),
       count(*), coalesce(extract(epoch FROM clock_timestamp() - min(told_at)), 0)::double precision
FROM activity_events
WHERE sequence > coalesce((SELECT sequence FROM event_senders WHERE name = %s), 0)
"""


def outbox(connection: Connection, sender: str) -> Outbox:
    """How many events were told, and how many a sender has still to send. Goes along an index over what waits."""
    return Outbox(*fetch_one(connection, _OUTBOX, (sender,)))

"""The persona of each participant, one row a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime

from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all


@dataclass(frozen=True)
class Values:
    """The behaviour of a person (behaviour/person); None where it is not known."""

    recency: float | None
    frequency: float | None
    energy: float | None
    variety: float | None
    rhythm: float | None
    steadiness: float | None


@dataclass(frozen=True)
class Assigned:
    """A participant's persona, and the behaviour it follows from.

    number : place of the persona in the model version; distance : from its centroid, in standard deviations;
    until_date : the last date of the records that were used
    """

    participant: str
    persona: str
    number: int
    distance: float
    behaviour: Values
    until_date: date
    model_version: str
    assigned_at: datetime | None = None


COLUMNS = (
    "participant, persona, number, distance, recency, frequency, energy, variety, rhythm, steadiness, until_date, "
    "model_version"
)
_PUT = f"""
INSERT INTO participant_personas AS p ({COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (participant) DO UPDATE SET
    ({COLUMNS}, assigned_at) = ROW (excluded.participant, excluded.persona, excluded.number, excluded.distance,
        excluded.recency, excluded.frequency, excluded.energy, excluded.variety, excluded.rhythm, excluded.steadiness,
        excluded.until_date, excluded.model_version, clock_timestamp())
"""
_LIST = f"""
SELECT {COLUMNS}, assigned_at FROM participant_personas
WHERE %(persona)s::text IS NULL OR persona = %(persona)s ORDER BY number, participant
"""
# a withdrawn participant gets no new persona
_WITHDRAWN = """
SELECT participant FROM participants WHERE withdrawn_at IS NOT NULL AND participant = ANY(%s)
"""


def put_personas(connection: Connection, assigned: Iterable[Assigned]) -> int:
    """Write personas in place of those that the same participants had; how many. Withdrawn participants are left."""
    rows = list(assigned)
    withdrawn = {row[0] for row in fetch_all(connection, _WITHDRAWN, ([one.participant for one in rows],))}
    kept = [one for one in rows if one.participant not in withdrawn]
    for one in kept:
        head = (one.participant, one.persona, one.number, one.distance)
        execute(connection, _PUT, (*head, *astuple(one.behaviour), one.until_date, one.model_version))
    return len(kept)


def personas(connection: Connection, persona: str | None = None) -> list[Assigned]:
    """All personas, or one, by number and participant."""
    rows = fetch_all(connection, _LIST, {"persona": persona})
    return [
        Assigned(row[0], row[1], row[2], row[3], Values(*row[4:10]), row[10], row[11], row[12])
        for row in rows
    ]


def participants_with_persona(connection: Connection, model_version: str) -> Sequence[str]:
    """Who has a persona of a model version."""
    query = "SELECT participant FROM participant_personas WHERE model_version = %s"
    return [row[0] for row in fetch_all(connection, query, (model_version,))]

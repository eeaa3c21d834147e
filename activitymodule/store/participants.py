"""Participants: people by pseudonym, which watches they wore when, and their studies.

A watch has one wearer at a time (an exclusion constraint). Whatever counts by person uses the participant where one is
known and the watch otherwise: `persons_of`, and the function person_of in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from activitymodule.errors import DataError, NotFoundError, RefusedError, WithdrawnError, WornByOtherError
from activitymodule.store.connection import Connection
from activitymodule.store.queries import Row, execute, fetch_all, fetch_row, fetch_value
from activitymodule.store.times import AS_TIME, AS_US
from activitymodule.telemetry.excluded import EVER_US, NEVER_US, Excluded, Periods
from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, is_device_id

Sex = Literal["female", "male"]


@dataclass(frozen=True)
class Details:
    """What is known of a participant; None where unknown. zone : IANA name. Raises DataError for an unknown zone."""

    age_years: float | None = None
    sex: Sex | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    resting_heart_rate_bpm: float | None = None
    zone: str = "UTC"
    study: str | None = None
    consented_on: date | None = None

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise DataError(
                f"{self.zone[:64]!a} is no time zone: it must be an IANA name, such as Europe/Berlin"
            ) from None
        if self.sex not in (None, "female", "male"):
            raise DataError(f"the sex {self.sex!a} cannot be stored; it must be female or male")
        if self.study is not None and not is_device_id(self.study):
            raise DataError(f"{self.study!a} is no name of a study: it must have {DEVICE_ID_TEXT}")


def details_of(changes: Mapping[str, object], before: Details = Details()) -> Details:
    """Details by their names, the others as before. Raises DataError."""
    return replace(before, **changes)  # type: ignore[arg-type]


DETAILS = tuple(one.name for one in fields(Details))
_LIST = ", ".join(DETAILS)


@dataclass(frozen=True)
class Participant:
    """A participant. withdrawn_at : nothing new of them is taken since then; devices : watches worn now"""

    participant: str
    details: Details
    withdrawn_at: datetime | None
    created_at: datetime
    updated_at: datetime
    devices: tuple[str, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which their days begin and end."""
        return ZoneInfo(self.details.zone)


@dataclass(frozen=True)
class Wear:
    """[worn_from, worn_to) in which a participant wore a watch. worn_from : None: ever since; worn_to : None: still"""

    participant: str
    device_id: str
    worn_from: datetime | None
    worn_to: datetime | None

    def text(self) -> str:
        """The time in words."""
        return f"{_moment(self.worn_from, 'its first reading')} to {_moment(self.worn_to, 'now')}"


def _moment(at: datetime | None, otherwise: str) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else otherwise


_WORN_NOW = "worn_from <= now() AND (worn_to IS NULL OR worn_to > now())"
_SELECT = f"""
SELECT participant, withdrawn_at, created_at, updated_at,
       ARRAY(SELECT device_id FROM participant_devices w
             WHERE w.participant = p.participant AND {_WORN_NOW} ORDER BY device_id), {_LIST}
FROM participants p
"""
_WEAR = "participant, device_id, CASE WHEN isfinite(worn_from) THEN worn_from END, worn_to"
_INSERT = f"INSERT INTO participants (participant, {_LIST}) VALUES ({', '.join(['%s'] * (1 + len(DETAILS)))})"
_UPDATE = f"""
UPDATE participants SET {", ".join(f"{name} = %({name})s" for name in DETAILS)}, updated_at = clock_timestamp()
WHERE participant = %(participant)s
"""


def _participant(row: Row) -> Participant:
    name, withdrawn_at, created_at, updated_at, devices, *details = row
    return Participant(
        name,
        Details(**dict(zip(DETAILS, details, strict=True))),
        withdrawn_at,
        created_at,
        updated_at,
        tuple(devices),
    )


def checked_name(participant: str) -> str:
    """A pseudonym. Raises DataError where it has another form than that of a device id."""
    if not is_device_id(participant):
        raise DataError(f"{participant[:140]!a} is no participant: it must have {DEVICE_ID_TEXT}")
    return participant


def find(connection: Connection, participant: str) -> Participant | None:
    """A participant; None where there is none of that name."""
    row = fetch_row(connection, _SELECT + "WHERE participant = %s", (participant,))
    return _participant(row) if row else None


def required(connection: Connection, participant: str, *, lock: bool = False) -> Participant:
    """A participant. lock : until the transaction ends. Raises NotFoundError."""
    if lock:
        execute(connection, "SELECT FROM participants WHERE participant = %s FOR UPDATE", (participant,))
    found = find(connection, participant)
    if found is None:
        raise NotFoundError(
            f"there is no participant {participant[:140]!a}; `activity people list` lists those there are"
        )
    return found


def list_participants(
    connection: Connection, *, study: str | None = None, after: str = "", limit: int = 1000
) -> list[Participant]:
    """Participants by name, from after that name."""
    where = "WHERE participant > %s AND (%s::text IS NULL OR study = %s) ORDER BY participant LIMIT %s"
    return [_participant(row) for row in fetch_all(connection, _SELECT + where, (after, study, study, limit))]


def add(connection: Connection, participant: str, details: Details = Details()) -> None:
    """Add a participant, and their study if it is new. Raises DataError, RefusedError where the name is taken."""
    checked_name(participant)
    if find(connection, participant) is not None:
        raise RefusedError(
            f"there is a participant {participant} already; change it with `activity people edit`"
        )
    _add_study(connection, details)
    execute(connection, _INSERT, (participant, *asdict(details).values()))


def edit(connection: Connection, participant: str, changes: Mapping[str, object]) -> Participant:
    """Change some of the details. Raises NotFoundError, DataError."""
    found = required(connection, participant, lock=True)
    details = details_of(changes, found.details)
    _add_study(connection, details)
    execute(connection, _UPDATE, {"participant": participant, **asdict(details)})
    return replace(found, details=details)


def _add_study(connection: Connection, details: Details) -> None:
    if details.study is not None:
        execute(
            connection, "INSERT INTO studies (study) VALUES (%s) ON CONFLICT DO NOTHING", (details.study,)
        )


# ---- who wore which watch when


def worn_by(connection: Connection, participant: str) -> list[Wear]:
    """All times in which a participant wore a watch, oldest first."""
    sql = f"SELECT {_WEAR} FROM participant_devices d WHERE participant = %s ORDER BY d.worn_from, device_id"
    return [Wear(*row) for row in fetch_all(connection, sql, (participant,))]


def all_wear(connection: Connection) -> list[Wear]:
    """All of everybody, by watch and time."""
    sql = f"SELECT {_WEAR} FROM participant_devices d ORDER BY device_id, d.worn_from"
    return [Wear(*row) for row in fetch_all(connection, sql)]


_OVERLAPPING = f"""
SELECT {_WEAR} FROM participant_devices d
WHERE device_id = %(device)s
  AND tstzrange(d.worn_from, d.worn_to) && tstzrange(coalesce(%(from)s::timestamptz, '-infinity'), %(to)s::timestamptz)
ORDER BY d.worn_from
"""
_END = """
UPDATE participant_devices SET worn_to = %(at)s
WHERE participant = %(participant)s AND device_id = %(device)s AND worn_to IS NULL AND worn_from < %(at)s
"""
_GIVE = """
INSERT INTO participant_devices (participant, device_id, worn_from, worn_to)
VALUES (%(participant)s, %(device)s, coalesce(%(from)s::timestamptz, '-infinity'), %(to)s)
"""
# the watch is another's from then on: what an erased wearer left excluded ends there
_END_ERASED = """
UPDATE erased_periods SET worn_to = %(from)s
WHERE device_sha256 = sha256(salt || convert_to(%(device)s, 'UTF8')) AND worn_to IS NULL AND worn_from < %(from)s
"""


def assign(connection: Connection, wear: Wear, *, handover: bool = False) -> None:
    """Record that a participant wears a watch.

    handover : ends the time of the watch's present wearer where this one begins. Raises NotFoundError, DataError,
    WithdrawnError, and WornByOtherError where somebody else wears the watch at that time.
    """
    if not is_device_id(wear.device_id):
        raise DataError(f"{wear.device_id[:140]!a} is no device id: it must have {DEVICE_ID_TEXT}")
    if wear.worn_from and wear.worn_to and wear.worn_from >= wear.worn_to:
        raise DataError(f"{wear.device_id} would be worn from {wear.text()}; the end must be after the begin")
    if required(connection, wear.participant, lock=True).withdrawn_at is not None:
        raise WithdrawnError(f"{wear.participant} has withdrawn: no watch can be assigned to them")
    values = _values(wear)
    for other in [Wear(*row) for row in fetch_all(connection, _OVERLAPPING, values)]:
        _make_room(connection, wear, other, handover=handover)
    execute(connection, _END_ERASED, values)
    execute(connection, _GIVE, values)


def _make_room(connection: Connection, wear: Wear, other: Wear, *, handover: bool) -> None:
    values = {**_values(other), "at": wear.worn_from}
    handover = handover and other.participant != wear.participant
    if handover and other.participant == other.device_id and wear.worn_from is None and wear.worn_to is None:
        # the participant that was made with the watch: a person takes its place
        sql = "DELETE FROM participant_devices WHERE participant = %(participant)s AND device_id = %(device)s"
        execute(connection, sql, values)
    elif not (handover and other.worn_to is None and execute(connection, _END, values)):
        raise WornByOtherError(
            f"{wear.device_id} is worn by {other.participant} from {other.text()}, so not by {wear.participant} "
            f"from {wear.text()}; --handover ends the time of its present wearer where the new one begins"
        )


def _values(wear: Wear) -> dict[str, object]:
    return {
        "participant": wear.participant,
        "device": wear.device_id,
        "from": wear.worn_from,
        "to": wear.worn_to,
    }


def end_wear(connection: Connection, participant: str, device_id: str, at: datetime) -> None:
    """The participant stops to wear a watch. Raises NotFoundError where they do not wear it before that time."""
    if not execute(connection, _END, {"participant": participant, "device": device_id, "at": at}):
        raise NotFoundError(
            f"{participant[:140]!a} does not wear {device_id[:140]!a} before {at:%Y-%m-%d %H:%M} UTC"
        )


_AT = f"""
SELECT person_of(device, {AS_TIME.format("us")})
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS given (device, us, place) ORDER BY place
"""


def participant_of(connection: Connection, device_id: str, at: datetime) -> str | None:
    """Who wore a watch at a time; None where that is not known."""
    sql = """SELECT participant FROM participant_devices
             WHERE device_id = %s AND worn_from <= %s AND (worn_to IS NULL OR worn_to > %s)"""
    row = fetch_row(connection, sql, (device_id, at, at))
    return str(row[0]) if row else None


def worn_now_by(connection: Connection, device_id: str) -> Participant | None:
    """Who wears a watch now; None where that is not known."""
    where = f"WHERE participant = (SELECT participant FROM participant_devices WHERE device_id = %s AND {_WORN_NOW})"
    row = fetch_row(connection, _SELECT + where, (device_id,))
    return _participant(row) if row else None


def persons_of(connection: Connection, device_id: Sequence[str], us: Sequence[int]) -> list[str]:
    """The person of each of n watches at times (UTC microseconds): the participant where known, else the watch."""
    values = (list(device_id), np.asarray(us, np.int64).tolist())
    return [row[0] for row in fetch_all(connection, _AT, values)] if len(device_id) else []


# ---- withdrawal

_EXCLUDED = f"""
SELECT device_id, salt, device_sha256, CASE WHEN isfinite(worn_from) THEN {AS_US.format("worn_from")} END,
       {AS_US.format("worn_to")}
FROM excluded_periods
"""
_CLOSE = """
UPDATE queue_items q SET closed_at = clock_timestamp(), closed_because = 'withdrawn'
FROM participant_devices w
WHERE w.participant = %s AND q.device_id = w.device_id AND q.closed_at IS NULL
  AND q.window_end > w.worn_from AND (w.worn_to IS NULL OR q.window_start < w.worn_to)
"""


def excluded(connection: Connection) -> Excluded:
    """The times of watches of which nothing new is taken: their wearers have withdrawn, or were erased."""
    watches: dict[str, Periods] = {}
    hashed: dict[bytes, dict[bytes, Periods]] = {}
    for device, salt, sha256, first, until in fetch_all(connection, _EXCLUDED):
        period = ((EVER_US if first is None else first, NEVER_US if until is None else until),)
        if device is not None:
            watches[device] = watches.get(device, ()) + period
        else:
            of_salt = hashed.setdefault(bytes(salt), {})
            of_salt[bytes(sha256)] = of_salt.get(bytes(sha256), ()) + period
    return Excluded(watches, hashed)


def withdraw(connection: Connection, participant: str) -> datetime:
    """Take nothing new of a participant from now on, and close their waiting queue items; when that was.

    Repeated, the result is the first time. Raises NotFoundError.
    """
    required(connection, participant, lock=True)
    sql = """UPDATE participants SET withdrawn_at = coalesce(withdrawn_at, clock_timestamp()),
                                     updated_at = clock_timestamp()
             WHERE participant = %s RETURNING withdrawn_at"""
    row = fetch_row(connection, sql, (participant,))
    assert row is not None
    execute(connection, _CLOSE, (participant,))
    return row[0]


_RUNNING = """
SELECT EXISTS (SELECT FROM batches WHERE started_at BETWEEN %(at)s - interval '2 minutes' AND %(at)s
               AND written_at IS NULL AND finished_at IS NULL)
"""


def batch_running(connection: Connection, at: datetime) -> bool:
    """Whether a batch that was going on at a moment is not written yet."""
    return bool(fetch_value(connection, _RUNNING, {"at": at}))


def take_back_withdrawn(connection: Connection, participant: str) -> int:
    """Delete what was written of a participant since they withdrew, by what was going on then; how many rows."""
    return int(fetch_value(connection, "SELECT take_back_withdrawn(%s)", (participant,)))


LABEL_COLUMNS = ("kind", "device_id", "start", "end", "label", "given_at")
_LABELS = """
SELECT 'window', a.device_id, a.window_start AS start, a.window_end, a.label, a.created_at
FROM annotations_in_force a JOIN participant_devices w USING (device_id)
WHERE w.participant = %(who)s AND a.answer = 'label'
  AND a.window_end > w.worn_from AND (w.worn_to IS NULL OR a.window_start < w.worn_to)
UNION ALL
SELECT 'span', s.device_id, s.span_start, s.span_end, s.label, s.answered_at
FROM spans_in_force s JOIN participant_devices w USING (device_id)
WHERE w.participant = %(who)s AND s.span_end > w.worn_from AND (w.worn_to IS NULL OR s.span_start < w.worn_to)
ORDER BY 2, 3, 1
"""


def labels_of(connection: Connection, participant: str) -> list[Row]:
    """The labels of a participant's windows and spans (LABEL_COLUMNS), without who gave them."""
    return fetch_all(connection, _LABELS, {"who": participant})

"""The model of each watch, as people set it or its messages name it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeVar

from psycopg2.extras import execute_values

from activitymodule.errors import DataError, NotFoundError, ServiceUnavailableError
from activitymodule.store.connection import Connection
from activitymodule.store.queries import execute, fetch_all, fetch_one, fetch_row
from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, is_device_id
from activitymodule.telemetry.profiles import MOST_CHARACTERS, model_name, profiles
from activitymodule.windows.frame import KnownModel

Person = Literal["command", "file", "rest", "console"]
"""Where a person set a model."""
Wrist = Literal["left", "right"]
T = TypeVar("T")

_COLUMNS = "device_id, device_model, wrist, source, updated_at"
_OF = f"SELECT {_COLUMNS} FROM devices WHERE device_id = %s"
_LIST = f"""
SELECT {_COLUMNS} FROM devices
WHERE device_id > %s AND (device_model IS NOT NULL OR wrist IS NOT NULL) ORDER BY device_id LIMIT %s
"""
_MODELS = "SELECT device_id, device_model, source <> 'message' FROM devices WHERE device_id = ANY (%s)"
# a row is stamped before its transaction commits: a minute is looked at again
_NEWER = """
SELECT clock.now::text, device_id, device_model, source <> 'message'
FROM (SELECT clock_timestamp() AS now) clock
LEFT JOIN devices ON updated_at > %s::timestamptz - interval '1 minute'
"""
_SET = """
INSERT INTO devices AS d (device_id, device_model, wrist, source) VALUES %s
ON CONFLICT (device_id) DO UPDATE SET
    device_model = excluded.device_model, wrist = coalesce(excluded.wrist, d.wrist), source = excluded.source,
    updated_at = clock_timestamp()
"""
_SAY = """
INSERT INTO devices AS d (device_id, device_model, source) VALUES %s
ON CONFLICT (device_id) DO UPDATE SET device_model = excluded.device_model, updated_at = clock_timestamp()
WHERE d.source = 'message' AND d.device_model IS DISTINCT FROM excluded.device_model
"""
_UNSET = """
UPDATE devices SET device_model = NULL, wrist = NULL, source = 'message', updated_at = clock_timestamp()
WHERE device_id = %s AND (device_model IS NOT NULL OR wrist IS NOT NULL)
"""
_WITHOUT_PROFILE = """
SELECT count(*) FROM newest_windows(now() - interval '1 hour') LEFT JOIN devices USING (device_id)
WHERE coalesce(device_model, '') <> ALL (%s)
"""
_WITHOUT = """
SELECT count(*) FROM newest_windows(now() - interval '1 hour') LEFT JOIN devices USING (device_id)
WHERE device_model IS NULL
"""


@dataclass(frozen=True)
class Device:
    """What is known of a watch. device_model : a device profile's id, or a name that has none; source : message, or
    where a person set it."""

    device_id: str
    device_model: str | None
    wrist: Wrist | None
    source: str
    updated_at: datetime


@dataclass(frozen=True)
class Setting:
    """What a person says of a watch. Raises DataError for what cannot be stored."""

    device_id: str
    device_model: str
    wrist: Wrist | None = None

    def __post_init__(self) -> None:
        if not is_device_id(self.device_id):
            raise DataError(f"{self.device_id!a} is no device id: it must have {DEVICE_ID_TEXT}")
        if model_name(self.device_model) is None:
            raise DataError(
                f"{self.device_model!a} is no device model: it must have 1 to {MOST_CHARACTERS} characters"
            )
        if self.wrist not in (None, "left", "right"):
            raise DataError(f"the wrist of {self.device_id} is {self.wrist!a}; it must be left or right")


def device_of(connection: Connection, device_id: str) -> Device | None:
    """A watch; None where nothing was ever said of it."""
    row = fetch_row(connection, _OF, (device_id,))
    return Device(*row) if row else None


def list_devices(connection: Connection, *, after: str = "", limit: int = 1000) -> list[Device]:
    """Watches of which something is known, by name, from after that name."""
    return [Device(*row) for row in fetch_all(connection, _LIST, (after, limit))]


def all_devices(connection: Connection) -> Iterator[Device]:
    """All of them, by name."""
    after = ""
    while page := list_devices(connection, after=after):
        yield from page
        after = page[-1].device_id


def set_devices(connection: Connection, settings: Sequence[Setting], source: Person) -> int:
    """Set the model of watches, and the wrist where one is given; of several for one watch the last counts.

    Returns how many watches were set.
    """
    by_device = {one.device_id: one for one in settings}
    # sorted: two writers of the same watches take their locks in the same order
    rows = [
        (one.device_id, model_name(one.device_model), one.wrist, source)
        for _, one in sorted(by_device.items())
    ]
    with connection.cursor() as cursor:
        for first in range(0, len(rows), 1000):
            execute_values(cursor, _SET, rows[first : first + 1000], page_size=1000)
    return len(rows)


def unset_device(connection: Connection, device_id: str) -> None:
    """Forget what is known of a watch; from then on its messages decide. Raises NotFoundError if nothing was."""
    if not execute(connection, _UNSET, (device_id,)):
        raise NotFoundError(
            f"no model of the watch {device_id!a} is set; `activity devices list` lists those that are"
        )


def add_named(connection: Connection, named: Mapping[str, str]) -> None:
    """Record the models that messages name, by device; a model that a person has set stays."""
    with connection.cursor() as cursor:
        execute_values(cursor, _SAY, [(*one, "message") for one in sorted(named.items())], page_size=1000)


def models_for(connection: Connection, device_ids: Sequence[str]) -> dict[str, KnownModel]:
    """The models of these watches, where they are known."""
    return _known(fetch_all(connection, _MODELS, (list(device_ids),)))


def watches_without_model(connection: Connection) -> int:
    """How many watches with a window in the last hour have no model."""
    return int(fetch_one(connection, _WITHOUT)[0])


def watches_without_profile(connection: Connection) -> int:
    """How many watches with a window in the last hour have no device profile: no model, or one that has none."""
    return int(fetch_one(connection, _WITHOUT_PROFILE, (list(profiles()),))[0])


def _known(rows: Iterable[tuple[str, str | None, bool]]) -> dict[str, KnownModel]:
    return {device: KnownModel(model, decided) for device, model, decided in rows if model is not None}


class Run(Protocol):
    """Does work on a connection, in a transaction of its own."""

    def __call__(self, work: Callable[[Connection], T], /) -> T:
        """What came of the work."""
        ...


class ModelCache:
    """The models of all watches, kept in this process; the store is asked only for what is newer.

    seconds : how old an answer may be
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._models: dict[str, KnownModel] | None = None
        self._asked = 0.0
        self._newest = "-infinity"

    def models(self, run: Run) -> Mapping[str, KnownModel]:
        """The models now; `run` does work on a connection. While the store does not answer, those it last gave."""
        if self._models is None or time.monotonic() - self._asked >= self._seconds:
            try:
                self._take(run(self._read))
            except ServiceUnavailableError:
                if self._models is None:
                    raise
            self._asked = time.monotonic()
        assert self._models is not None
        return self._models

    def learn(self, named: Mapping[str, str], run: Run) -> None:
        """Record the models that messages name, where they are news."""
        known = self._models or {}
        news = {
            device: model
            for device, model in named.items()
            if (one := known.get(device)) is None or not (one.decided or one.model == model)
        }
        if news:
            run(lambda connection: add_named(connection, news))
            self._models = {**known, **{device: KnownModel(model, False) for device, model in news.items()}}

    def _read(self, connection: Connection) -> tuple[str, list[tuple[str, str | None, bool]]]:
        rows = fetch_all(connection, _NEWER, (self._newest,))
        return rows[0][0], [
            (device, model, decided) for _, device, model, decided in rows if device is not None
        ]

    def _take(self, answer: tuple[str, list[tuple[str, str | None, bool]]]) -> None:
        self._newest, rows = answer
        models = dict(self._models or {})
        for device, _, _ in rows:
            models.pop(device, None)
        self._models = models | _known(rows)

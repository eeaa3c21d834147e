"""Participants, what they wear, and of whom nothing is taken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg2
import pytest

from activitymodule.errors import DataError, NotFoundError, RefusedError, WithdrawnError, WornByOtherError
from activitymodule.store import participants
from activitymodule.store.participants import Details, Wear
from activitymodule.store.people import UNKNOWN_PERSON, people_at, people_for
from activitymodule.store.queries import execute, fetch_all
from activitymodule.telemetry.excluded import NEVER_US

pytestmark = pytest.mark.integration

NOON, NIGHT = datetime(2026, 9, 1, 12, tzinfo=UTC), datetime(2026, 9, 2, tzinfo=UTC)


def us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def test_a_watch_changes_hands_and_has_one_wearer_at_a_time(connection: Any) -> None:
    participants.add(connection, "anna", Details(weight_kg=60, zone="Europe/Berlin", study="s"))
    participants.add(connection, "bo", Details(weight_kg=80))
    participants.assign(connection, Wear("anna", "w", None, None))
    with pytest.raises(WornByOtherError, match="anna"):
        participants.assign(connection, Wear("bo", "w", NOON, None))
    participants.assign(connection, Wear("bo", "w", NOON, NIGHT), handover=True)
    participants.assign(connection, Wear("anna", "w", NIGHT, None))
    participants.assign(connection, Wear("anna", "second", NIGHT, None))
    times = [us(NOON) - 1, us(NOON), us(NIGHT) - 1, us(NIGHT), 0]
    devices = ["w", "w", "w", "w", "unknown"]
    assert participants.persons_of(connection, devices, times) == ["anna", "bo", "bo", "anna", "unknown"]
    weights = [one.weight_kg for one in people_at(connection, devices, times)]
    assert weights == [60.0, 80.0, 80.0, 60.0, None]
    assert people_at(connection, ["unknown"], [0]) == [UNKNOWN_PERSON]
    assert people_for(connection, ["w"])["w"].weight_kg == 60.0
    assert participants.participant_of(connection, "w", NOON) == "bo"
    assert participants.participant_of(connection, "unknown", NOON) is None
    assert participants.required(connection, "anna").devices == ("second", "w")
    assert [one.participant for one in participants.list_participants(connection, study="s")] == ["anna"]
    participants.end_wear(connection, "anna", "w", NIGHT.replace(hour=5))
    with pytest.raises(NotFoundError):
        participants.end_wear(connection, "anna", "w", NIGHT.replace(hour=6))
    with pytest.raises(psycopg2.errors.ExclusionViolation):
        execute(connection, "INSERT INTO participant_devices VALUES ('bo', 'w', '2026-09-01 23:00Z', NULL)")


def test_details_are_validated_and_changed_one_by_one(connection: Any) -> None:
    participants.add(connection, "anna", Details(age_years=30, sex="female"))
    with pytest.raises(RefusedError):
        participants.add(connection, "anna")
    assert participants.edit(
        connection, "anna", {"age_years": None, "zone": "Asia/Tokyo"}
    ).details == Details(sex="female", zone="Asia/Tokyo")
    assert participants.required(connection, "anna").details.zone == "Asia/Tokyo"
    for wrong in ({"zone": "Mars/Base"}, {"sex": "x"}, {"study": "a b"}):
        with pytest.raises(DataError):
            participants.edit(connection, "anna", wrong)
    with pytest.raises(DataError):
        participants.add(connection, "Anna Example")
    with pytest.raises(NotFoundError):
        participants.edit(connection, "nobody", {"age_years": 1})


def test_who_was_made_with_a_watch_gives_way_to_a_person(connection: Any) -> None:
    execute(connection, "INSERT INTO participants (participant) VALUES ('w'), ('anna')")
    participants.assign(connection, Wear("w", "w", None, None))
    with pytest.raises(WornByOtherError):
        participants.assign(connection, Wear("anna", "w", None, None))
    participants.assign(connection, Wear("anna", "w", None, None), handover=True)
    assert participants.all_wear(connection) == [Wear("anna", "w", None, None)]


def test_nothing_is_taken_of_who_withdrew(connection: Any) -> None:
    assert not participants.excluded(connection)
    participants.add(connection, "anna")
    participants.assign(connection, Wear("anna", "w", NOON, None))
    at = participants.withdraw(connection, "anna")
    assert participants.withdraw(connection, "anna") == at
    excluded = participants.excluded(connection)
    assert excluded.watches == {"w": ((us(NOON), NEVER_US),)}
    assert not excluded.covers("w", us(NOON) - 1)
    with pytest.raises(WithdrawnError):
        participants.assign(connection, Wear("anna", "other", NOON, None))
    # the watch goes on with somebody else
    participants.add(connection, "bo")
    participants.assign(connection, Wear("bo", "w", NIGHT, None), handover=True)
    assert participants.excluded(connection).watches == {"w": ((us(NOON), us(NIGHT)),)}
    assert np.array(fetch_all(connection, "SELECT person_of('w', now())")).tolist() == [["bo"]]

"""Windows with late readings wait in the store until they are archived and scored."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from activitymodule.store import participants
from activitymodule.store.archive import ArchiveState, write_archive_state
from activitymodule.store.batches import mark_written
from activitymodule.store.late import forget_late, note_late, waiting_late
from activitymodule.store.predictions import write_predictions
from activitymodule.store.queries import fetch_all
from activitymodule.windows.late import LateWindow

NOW = datetime(2026, 1, 1, tzinfo=UTC)
US = 1_790_000_000_000_000


def late(device: str, *arrived: int) -> LateWindow:
    return LateWindow(device, US, US + 10_000_000, *arrived)


@pytest.mark.integration
def test_they_wait_for_the_archive_and_are_forgotten_once(connection, begin, make_rows):
    def archived(until: int) -> None:
        write_archive_state(connection, ArchiveState("t").going({0: until, 1: 9}, "id", (), NOW))

    begin(0, {0: (0, 10), 1: (0, 9)})
    note_late(connection, "t", [late("a", 50, 60), late("b", 50, 70)])
    connection.commit()
    mark_written(connection, query_id="q", batch_id=0)
    connection.commit()
    begin(1, {0: (10, 20), 1: (9, 9)})
    note_late(connection, "t", [late("b", 40, 65), late("c", 80, 80)])
    connection.commit()
    assert waiting_late(connection, "t", 9) == []  # nothing is archived
    archived(10)
    (first,) = waiting_late(connection, "t", 9)
    assert (first.window, first.received_us) == (late("a", 50, 60), None)
    assert first.arrivals(5) == [(50, 60)]
    mark_written(connection, query_id="q", batch_id=1)
    connection.commit()
    archived(19)
    assert [one.window.device_id for one in waiting_late(connection, "t", 9)] == ["a"]
    archived(20)
    assert [one.window.device_id for one in waiting_late(connection, "t", 2)] == ["a", "b"]
    waiting = waiting_late(connection, "t", 9)
    assert [one.window for one in waiting] == [late("a", 50, 60), late("b", 40, 70), late("c", 80, 80)]
    connection.commit()
    # one is noticed again while they are scored
    note_late(connection, "t", [late("b", 90, 95)])
    connection.commit()
    assert forget_late(connection, "t", waiting) == 2
    assert forget_late(connection, "t", waiting) == 0
    mark_written(connection, query_id="q", batch_id=1)
    connection.commit()
    (again,) = waiting_late(connection, "t", 9)
    assert again.window == late("b", 40, 95)


@pytest.mark.integration
def test_the_stored_row_says_when_earlier_readings_came(connection, begin, make_rows):
    rows = make_rows(watches=1, windows=1)
    write_predictions(connection, rows)
    start = int(np.asarray(rows.window_start_us)[0])
    begin(0, {0: (0, 10)})
    note_late(connection, "t", [LateWindow(str(rows.device_id[0]), start, start + 10_000_000, 5, 6)])
    connection.commit()
    mark_written(connection, query_id="q", batch_id=0)
    connection.commit()
    write_archive_state(connection, ArchiveState("t").going({0: 10}, "id", (), NOW))
    (one,) = waiting_late(connection, "t", 9)
    received = int(np.asarray(rows.received_us)[0])
    assert one.received_us == received
    assert one.arrivals(120) == [(5, 6), (start - 120, max(start - 120, received))]


@pytest.mark.integration
def test_of_who_has_withdrawn_no_window_is_noted(connection):
    participants.add(connection, "anna")
    participants.assign(connection, participants.Wear("anna", "a", None, None))
    participants.withdraw(connection, "anna")
    note_late(connection, "t", [late("a", 50, 60)])
    note_late(connection, "t", [late("a", 50, 60), late("b", 50, 60)])
    assert fetch_all(connection, "SELECT device_id FROM late_windows") == [("b",)]

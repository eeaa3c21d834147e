"""What the store says of the archive of a topic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from activitymodule.store.archive import (
    ArchiveState,
    forget_archive_state,
    read_archive_state,
    write_archive_state,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.integration
def test_a_failure_keeps_what_was_archived_before(connection):
    assert read_archive_state(connection, "t") is None
    going = ArchiveState("t").going({0: 7, 1: 3}, "id", ((0, 2, 4),), NOW)
    write_archive_state(connection, going)
    assert read_archive_state(connection, "t") == going
    # another job, which has archived nothing yet
    failing = ArchiveState("t").failing("no space", NOW + timedelta(days=1)).failing("no space", NOW)
    write_archive_state(connection, failing)
    state = read_archive_state(connection, "t")
    assert (state.offsets, state.archived_at, state.missing) == ({0: 7, 1: 3}, NOW, 2)
    assert (state.error, state.failing_since) == ("no space", NOW + timedelta(days=1))
    write_archive_state(connection, going)
    assert read_archive_state(connection, "t").failing_since is None
    forget_archive_state(connection, "t")
    assert read_archive_state(connection, "t") is None


def test_what_is_behind_is_counted_from_what_kafka_still_has():
    state = ArchiveState("t", offsets={0: 10, 1: 2})
    assert state.behind({0: (0, 15), 1: (8, 10), 2: (0, 4)}) == {0: 5, 1: 2, 2: 4}

"""What is said of the archive to a person."""

from __future__ import annotations

from datetime import UTC, datetime

from activitymodule.store.archive import ArchiveState
from activitymodule.workflows.archiving import ArchiveReport

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_report_says_whether_it_is_written_how_far_behind_and_what_it_lacks() -> None:
    state = ArchiveState("t").going({0: 7}, "id", (), AT)
    well = ArchiveReport(state, 3)
    assert well.good
    assert well.summary == "3 messages behind Kafka; last written 2026-01-01 12:00:00 UTC"
    gone = ArchiveState("t").going({0: 7}, "id", ((0, 2, 5), (1, 10, 11)), AT)
    ill = ArchiveReport(gone.failing("No space left on device", AT), None)
    assert not ill.good
    assert ill.summary.startswith("not written since 2026-01-01 12:00:00 UTC: No space left on device; ")
    assert "4 messages were deleted by Kafka" in ill.summary
    assert "10 to 10 of partition 1" in ill.summary

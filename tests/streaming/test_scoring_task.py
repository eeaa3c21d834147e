"""What goes with the job of a batch arrives as it was."""

from __future__ import annotations

import pytest

from activitymodule.streaming.queue.marks import Marking
from activitymodule.streaming.scoring_task import Batch

MARKINGS = [
    None,
    Marking(rate=0.1 + 0.2, salt="salt'\"\\ä", measure="margin", power=0.0, least_key=None),
    Marking(rate=1e-300, salt="", measure="margin", power=2.5, least_key=float("-inf"), keep=3),
]


@pytest.mark.parametrize("marking", MARKINGS)
def test_a_batch_arrives_as_it_was(marking: Marking | None) -> None:
    batch = Batch(2**40, "6f2a19f0-0000-4000-8000-000000000000", marking)
    assert Batch.of(batch.text()) == batch

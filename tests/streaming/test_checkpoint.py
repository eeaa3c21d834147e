"""The message about lost messages."""

from __future__ import annotations

from activitymodule.streaming.checkpoint import loss_sentence


def test_the_loss_names_every_message() -> None:
    sentence = loss_sentence("t", {1: (10, 15), 0: (3, 4)})
    assert "6 unscored messages of t" in sentence
    assert "partition 0: 3 to 3, partition 1: 10 to 14" in sentence

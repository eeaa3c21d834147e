"""A connection to a fresh, migrated database, and rows to write into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from prediction_rows import LABELS, make_prediction_rows
from queued import LABELS as QUEUED_LABELS

from activitymodule.settings import Settings
from activitymodule.store.batches import BatchRecord, begin_batch
from activitymodule.store.connection import connect
from activitymodule.store.dead_letters import DeadLetters
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows


@pytest.fixture
def with_topics() -> bool:
    """No test here sends or reads messages."""
    return False


@pytest.fixture
def connection(fresh_settings: Settings) -> Iterator[Any]:
    opened = connect(fresh_settings)
    record_model_version(opened, name="m", version="1", labels=LABELS, feature_version="f")
    opened.commit()
    yield opened
    opened.close()


@pytest.fixture
def opened(fresh_settings: Settings) -> Iterator[Any]:
    """A connection to a fresh database with one model version, for items of `queued`."""
    opened = connect(fresh_settings)
    record_model_version(opened, name="m", version="1", labels=QUEUED_LABELS, feature_version="1")
    opened.commit()
    yield opened
    opened.close()


@pytest.fixture
def make_rows() -> Callable[..., PredictionRows]:
    """A function that makes rows of `watches` x `windows`, with some windows that were not scored."""
    return make_prediction_rows


@pytest.fixture
def make_letters() -> Callable[..., DeadLetters]:
    """A function that makes dead letters, with contents that are hard to store."""

    def make(n: int = 3, **over: Any) -> DeadLetters:
        columns = {
            "topic": "t",
            "partition": np.zeros(n, np.int32),
            "offset": np.arange(n),
            "item": np.full(n, -1),
            "device_id": ["a", None, "b\0c"][:n],
            "reason": ["not_json"] * n,
            "detail": ["x", None, "half \ud800 and \0"][:n],
            "payload": [b"\x00\xff\x1b[2J", None, b"x" * 100_000][:n],
            "kafka_at_us": np.full(n, 1_790_000_000_000_001),
        }
        return DeadLetters(**{**columns, **over})

    return make


@pytest.fixture
def begin(connection: Any) -> Callable[..., BatchRecord]:
    """A function that begins a batch of the topic t."""

    def make(
        batch_id: int,
        offsets: dict[int, tuple[int, int]],
        query: str = "q",
        version: str = "1",
        topic_id: str | None = None,
    ) -> BatchRecord:
        return begin_batch(
            connection,
            query_id=query,
            batch_id=batch_id,
            topic="t",
            topic_id=topic_id,
            offsets=offsets,
            model_version=version,
            energy_version=None,
        )

    return make

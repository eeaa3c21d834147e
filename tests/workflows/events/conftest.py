"""A store in which watches change their activity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from own_settings import replaced
from prediction_rows import EPOCH_US, LABELS, make_prediction_rows
from receiver import Receiver, receiver

from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import write_predictions
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.store.telling import Teller


@pytest.fixture
def own(fresh_settings: Settings) -> Settings:
    """Settings that let webhooks reach this machine."""
    return replaced(
        fresh_settings,
        events={"webhook_networks": ["127.0.0.1"], "poll_seconds": 0.05, "webhook_seconds": 5},
    )


@pytest.fixture
def connection(own: Settings) -> Iterator[Connection]:
    opened = connect(own)
    record_model_version(opened, name="m", version="1", labels=LABELS, feature_version="f")
    opened.commit()
    yield opened
    opened.close()


@pytest.fixture
def taking() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture
def tell(connection: Connection, own: Settings) -> Callable[[int, int], None]:
    """A function: (first, count) -> a batch of so many windows of three watches, with some bouts."""
    teller = Teller()

    def write(first: int, count: int) -> None:
        rows = make_prediction_rows(3, count, first=first, seed=first, unscored=0.0, batch_id=first)
        place = (rows.window_start_us - EPOCH_US) // 10_000_000
        best = (place // 4 + np.repeat(np.arange(3), count)) % 2
        probabilities = np.full_like(rows.probabilities, 0.002)
        probabilities[np.arange(len(rows)), best] = 0.99
        write_predictions(connection, replace(rows, probabilities=probabilities))
        refresh_smoothed(connection, batch_id=first, scoring=own.scoring, teller=teller)
        connection.commit()
        teller.committed()

    return write

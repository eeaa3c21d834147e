"""The rows of the fleet, device x second: which of them, and the messages of each.

`planned` adds the activity of the day plan, `outgoing` makes the messages: pure functions of Arrow batches with the
columns `device` (1 to N), `second` (UTC) and `seed`. streaming/fleet_rows makes the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activitymodule.synthesis.faults import Faulty, Run
from activitymodule.synthesis.messages import messages
from activitymodule.synthesis.people import device_name
from activitymodule.synthesis.readings import watches
from activitymodule.synthesis.truth import truth_messages

# of one Arrow batch on its way out: 2,000 rows are 20,000 readings and 12 MB of JSON
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True)
class Slice:
    """Which rows: seconds first to last of all devices of a run, in stripes of devices.

    A batch reads its rows in ranges, one a task. With one stripe for each task all tasks go through the same
    time together, each with its own devices; were a range a piece of time, half of the readings would come
    minutes before the other half and be late.
    """

    run: Run
    first_second: int
    last_second: int
    stripes: int = 1

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.run.devices * self.seconds

    @property
    def seconds(self) -> int:
        """The number of seconds."""
        return self.last_second - self.first_second + 1

    @property
    def stripe_devices(self) -> int:
        """The number of devices of a stripe; the last one may have fewer."""
        return -(-self.run.devices // self.stripes)


@dataclass(frozen=True)
class Stream:
    """Which rows: all devices second after second from the first on, as the clock (times `speed`) gets
    there.
    """

    run: Run
    first_second: int
    speed: float = 1.0
    rows: int | None = None  # None: without end

    @property
    def rows_per_second(self) -> int:
        """Rows a second of wall-clock time."""
        return max(1, round(self.run.devices * self.speed))


def planned(batches: Iterable[pa.RecordBatch], *, reference: str) -> Iterator[pa.RecordBatch]:
    """Rows with the activity of the day plan beside them."""
    for batch in batches:
        if not batch.num_rows:
            continue
        source = watches(reference, batch.column("seed")[0].as_py())
        activity = source.plans.activity(batch.column("device").to_numpy(), batch.column("second").to_numpy())
        names = pa.array(source.activities, pa.string()).take(pa.array(activity))
        yield batch.append_column("activity", names)


def outgoing(
    batches: Iterable[pa.RecordBatch], *, run: Run, topic: str, truth_topic: str
) -> Iterator[pa.RecordBatch]:
    """The messages of each row: readings and, every ten seconds, the truth. Columns: topic, key, value, readings."""
    source = watches(run.reference, run.seed)
    for whole in batches:
        for first in range(0, whole.num_rows, _ROWS_AT_ONCE):
            batch = whole.slice(first, _ROWS_AT_ONCE)
            device, second = (batch.column(name).to_numpy() for name in ("device", "second"))
            letters = Faulty(run).letters(device, second)
            if len(letters.row):
                values = messages(run, source, device, letters)
                sizes = np.array(run.sizes, np.int32)[letters.part]
                yield _batch(topic, device[letters.row], values, sizes)
            who, truths = truth_messages(run, source, device, second)
            if len(who):
                yield _batch(truth_topic, who, truths, np.zeros(len(who), np.int32))


def _batch(topic: str, device: np.ndarray, values: pa.BinaryArray, readings: np.ndarray) -> pa.RecordBatch:
    numbers, index = np.unique(device, return_inverse=True)
    keys = pa.array([device_name(number) for number in numbers.tolist()], pa.string()).take(pa.array(index))
    topics = pa.array([topic], pa.string()).take(pa.array(np.zeros(len(device), np.int8)))
    return pa.RecordBatch.from_arrays(
        [topics, keys, values, pa.array(readings)], names=["topic", "key", "value", "readings"]
    )


def sending(
    batches: Iterable[pa.RecordBatch], *, run: Run, topic: str, truth_topic: str
) -> Iterator[pa.RecordBatch]:
    """`planned`, then `outgoing`: one pass through one Python worker, so that its minutes are made once."""
    return outgoing(planned(batches, reference=run.reference), run=run, topic=topic, truth_topic=truth_topic)

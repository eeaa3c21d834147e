"""The task that scores a batch of the stream, made once for all batches that are scored alike.

Spark's function and column for a task of Python take some sixty calls of Java to make, more than all else that the
driver does for a small batch. What differs from batch to batch goes with the batch's job instead, as a property that
Spark hands to its tasks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.util import PythonEvalType

from activitymodule.streaming import worker
from activitymodule.streaming.queue.marks import Marking
from activitymodule.windows.grouping import WINDOWS_SCHEMA

_PROPERTY = "activity.batch"


@dataclass(frozen=True)
class Batch:
    """What differs from batch to batch.

    marking : how to mark what may be queued; None: not at all. late_before_us : Spark takes no reading any more of
    windows that had ended by then, UTC microseconds; 0: all are taken, or what is late is not noted
    """

    batch_id: int
    query_id: str
    marking: Marking | None
    late_before_us: int = 0

    def text(self) -> str:
        """As the property of a job."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Batch:
        """The batch of such a property."""
        given = json.loads(text)
        marking = given.pop("marking")
        return cls(**given, marking=None if marking is None else Marking(**marking))


def score(batches: Iterator[pa.RecordBatch], scorer: worker.Scorer) -> Iterator[pa.RecordBatch]:
    """`worker.score` with what Spark's job says of the batch."""
    batch = _batch_of_task()
    assert batch is not None
    return worker.score(
        batches, replace(scorer, batch_id=batch.batch_id, query_id=batch.query_id, marking=batch.marking)
    )


def late_before_us() -> int:
    """That of the batch that this task is of; 0 where it is of none."""
    batch = _batch_of_task()
    return batch.late_before_us if batch is not None else 0


def _batch_of_task() -> Batch | None:
    context = TaskContext.get()
    text = context.getLocalProperty(_PROPERTY) if context is not None else None
    return Batch.of(text) if text else None


class ScoringTask:
    """Scores batches by one scorer, but for its batch."""

    def __init__(self, scorer: worker.Scorer) -> None:
        function = pandas_udf(  # type: ignore[call-overload]  # a kind that only Spark itself uses
            partial(score, scorer=scorer),
            worker.COUNT_SCHEMA,
            PythonEvalType.SQL_MAP_ARROW_ITER_UDF,  # as DataFrame.mapInArrow does each time
        )
        self._column = function(*map(F.col, WINDOWS_SCHEMA.names))

    def run(self, windows: DataFrame, batch: Batch) -> list[Row]:
        """Score the windows (grouping.WINDOWS_SCHEMA) of a batch; rows of worker.COUNT_SCHEMA."""
        session = windows.sparkSession
        session.sparkContext.setLocalProperty(_PROPERTY, batch.text())
        return DataFrame(windows._jdf.mapInArrow(self._column._jc, False, None), session).collect()

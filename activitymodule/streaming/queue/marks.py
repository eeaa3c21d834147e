"""What travels between the driver and the workers: how to mark windows, and the marked ones."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from activitymodule.models.bundle import Scores
from activitymodule.windows.assembling import WindowBatch

MOST_KEYED = 96
"""Windows that are kept at the most for one selection, by a worker's task and by the driver."""


@dataclass(frozen=True)
class Marking:
    """What a worker needs to mark the windows of one batch.

    rate, salt : of the audit; measure : name of the reason for doubt; power : how much doubt counts, 0 for not yet;
    least_key : a key must exceed it to be sent, None while nothing is collected; keep : windows sent at the most for
    their key
    """

    rate: float
    salt: str
    measure: str
    power: float
    least_key: float | None
    keep: int = MOST_KEYED


@dataclass(frozen=True)
class Marked:
    """A window that may be queued, as it travels from a worker to the driver.

    audit_draw : None where it is not drawn for the audit; key : None where it is not among the greatest keys; person :
    who wore the watch, the watch itself where that is not known, as the driver finds out
    """

    device_id: str
    window_start_us: int
    audit_draw: float | None
    key: float | None
    weight: float
    doubts: dict[str, float]
    readings: bytes
    features: np.ndarray
    activity: str
    probabilities: np.ndarray
    conformal_set: tuple[str, ...]
    kcal_per_min: float
    model_version: str
    energy_version: str | None
    person: str = ""


@dataclass(frozen=True)
class Marks:
    """The result of one task: complete windows, the sum of their weights, and the marked ones (a pickled list of
    Marked; both ends are the same program)."""

    complete: int = 0
    weight: float = 0.0
    marked: bytes | None = None

    def windows(self) -> list[Marked]:
        """The marked windows."""
        return pickle.loads(self.marked) if self.marked is not None else []  # noqa: S301 (see above)


@dataclass(frozen=True)
class Scored:
    """A batch of windows as a worker has just scored it.

    rows : places of the windows that were scored; features, scores and weight_kg have a row for each of these
    """

    device_id: pa.Array
    window_start_us: np.ndarray
    panes: pa.ListArray
    assembled: WindowBatch
    rows: np.ndarray
    features: np.ndarray
    scores: Scores
    weight_kg: np.ndarray


def packed(windows: Sequence[Marked]) -> bytes:
    """Marked windows as `Marks.marked`."""
    return pickle.dumps(list(windows), pickle.HIGHEST_PROTOCOL)


def marks_of(rows: Iterable[Any]) -> list[Marks]:
    """Of the rows that the tasks of a batch returned (worker.COUNT_SCHEMA)."""
    return [Marks(row["complete"], row["weight"], row["marked"]) for row in rows]


def together(marks: Sequence[Marks]) -> Marks:
    """Marks of several Arrow batches of one task as one."""
    held = [one for one in marks if one.marked is not None]
    windows = held[0].marked if len(held) == 1 else packed([w for one in held for w in one.windows()])
    return Marks(
        sum(one.complete for one in marks),
        float(sum(one.weight for one in marks)),  # of none: still a double
        windows if held else None,
    )

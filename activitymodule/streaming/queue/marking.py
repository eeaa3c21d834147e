"""The workers' side: marks windows that may be queued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activitymodule.learning import doubt, policy
from activitymodule.learning.doubt import Need
from activitymodule.learning.doubt.energy import expected_kcal
from activitymodule.learning.draws import draws
from activitymodule.models.bundle import ScoringModel
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.streaming.log import log
from activitymodule.streaming.queue.marks import Marked, Marking, Marks, Scored, packed
from activitymodule.streaming.queue.past import past_probabilities
from activitymodule.streaming.queue.savepoint import Savepoint
from activitymodule.windows.assembling import complete, distinct_readings


@dataclass(frozen=True)
class _Complete:
    """Windows of a batch that may be queued: places in Scored.rows, watches and starts."""

    places: np.ndarray
    device: list[str]
    start: list[int]

    def __len__(self) -> int:
        return len(self.places)

    def take(self, some: Sequence[int]) -> _Complete:
        return _Complete(self.places[some], [self.device[k] for k in some], [self.start[k] for k in some])


class Marker:
    """Marks windows of one batch. connection : to the store, for a reason for doubt that needs the past of a watch."""

    def __init__(
        self, marking: Marking, model: ScoringModel, config: Settings, connection: Connection | None = None
    ) -> None:
        self._marking = marking
        self._model = model
        self._config = config
        self._connection = connection

    def mark_safely(self, scored: Scored) -> Marks:
        """`mark`, but an error is logged, marks nothing and loses no prediction."""
        savepoint = None if self._connection is None else Savepoint(self._connection, "marking")
        try:
            if savepoint and Need.PAST in doubt.required(self._marking.measure).needs:
                savepoint.connection()
            return self.mark(scored)
        except Exception as error:
            if savepoint and self._connection is not None and not self._connection.closed:
                savepoint.undo(error)
            log(f"windows could not be marked for the annotation queue: {one_line(error)}")
            return Marks()

    def mark(self, scored: Scored) -> Marks:
        """Mark what may be queued of one batch of windows."""
        windows = self._complete(scored)
        if not len(windows):
            return Marks()
        marking = self._marking
        drawn = np.array(
            [
                policy.audit_draw(d, us, marking.salt)
                for d, us in zip(windows.device, windows.start, strict=True)
            ]
        )
        audit = drawn < marking.rate
        weights, keys = self._keys(scored, windows)
        best = set(self._best(keys))
        places = sorted(set(np.flatnonzero(audit).tolist()) | best)
        weight = float(weights.sum())
        if not places:
            return Marks(len(windows), weight)
        marked = self._marked(
            scored,
            windows.take(places),
            audit_draw=[float(drawn[k]) if audit[k] else None for k in places],
            key=[float(keys[k]) if k in best else None for k in places],
            weight=weights[places].tolist(),
        )
        return Marks(len(windows), weight, packed(marked))

    def _complete(self, scored: Scored) -> _Complete:
        """Windows with enough readings, their last reading and an activity."""
        rows, held = scored.rows, scored.assembled
        whole = complete(
            scored.window_start_us[rows],
            held.newest_us[rows],
            held.coverage[rows],
            self._config.windows,
        )
        places = np.flatnonzero(whole & np.isfinite(scored.scores.probabilities).all(1))
        return _Complete(
            places,
            scored.device_id.take(pa.array(rows[places])).to_pylist(),
            scored.window_start_us[rows[places]].tolist(),
        )

    def _keys(self, scored: Scored, windows: _Complete) -> tuple[np.ndarray, np.ndarray]:
        """Weight and key of weighted sampling of every window; zeros and -inf while nothing is collected."""
        marking = self._marking
        if marking.least_key is None:
            return np.zeros(len(windows)), np.full(len(windows), -np.inf)
        values = np.ones(len(windows))
        if marking.power:
            values = doubt.required(marking.measure)(self._evidence(scored, windows))
        weights = policy.weights(values, marking.power)
        keys = [
            policy.key(d, us, w, marking.salt)
            for d, us, w in zip(windows.device, windows.start, weights.tolist(), strict=True)
        ]
        return weights, np.array(keys)

    def _best(self, keys: np.ndarray) -> list[int]:
        """Places of the greatest keys over `least_key`, at most `keep`."""
        if self._marking.least_key is None:
            return []
        over = np.flatnonzero(keys > self._marking.least_key)
        return over[np.argsort(-keys[over], kind="stable")][: self._marking.keep].tolist()

    def _evidence(self, scored: Scored, windows: _Complete, *, everything: bool = False) -> doubt.Evidence:
        """Evidence for the reason for doubt in use, or for every reason that needs no query."""
        scores, some = scored.scores, windows.places
        probabilities = scores.probabilities[some]
        needs = doubt.required(self._marking.measure).needs
        past = expected = None
        if everything or Need.EXPECTED_KCAL in needs:
            expected = expected_kcal(self._model.labels, scored.weight_kg[some], probabilities.argmax(1))
        if Need.PAST in needs and self._connection is not None:
            past = past_probabilities(
                self._connection, windows.device, windows.start, self._config, self._model
            )
        return doubt.Evidence(
            probabilities=probabilities,
            in_set=scores.in_set[some],
            drawn=draws(windows.device, windows.start),
            familiarity=scores.familiarity[some],
            past=past,
            kcal_per_min=scores.kcal_per_min[some],
            expected=expected,
        )

    def _marked(
        self,
        scored: Scored,
        windows: _Complete,
        *,
        audit_draw: Sequence[float | None],
        key: Sequence[float | None],
        weight: Sequence[float],
    ) -> list[Marked]:
        """These windows with everything that an item of the queue holds."""
        some, model = windows.places, self._model
        rows = scored.rows[some]
        records, window, _ = distinct_readings(
            scored.window_start_us[rows], scored.panes.take(pa.array(rows)), self._config.windows
        )
        ends = np.searchsorted(window, np.arange(len(rows) + 1))
        evidence = self._evidence(scored, windows, everything=True)
        doubts = doubt.all_doubts(evidence)
        return [
            Marked(
                device_id=windows.device[k],
                window_start_us=windows.start[k],
                audit_draw=audit_draw[k],
                key=key[k],
                weight=weight[k],
                doubts={name: float(value[k]) for name, value in doubts.items()},
                readings=records[ends[k] : ends[k + 1]].tobytes(),
                features=scored.features[some[k]],
                activity=model.labels[int(evidence.probabilities[k].argmax())],
                probabilities=evidence.probabilities[k],
                conformal_set=tuple(
                    name for name, inside in zip(model.labels, evidence.in_set[k], strict=True) if inside
                ),
                kcal_per_min=float(scored.scores.kcal_per_min[some[k]]),
                model_version=model.version,
                energy_version=model.energy_version or None,
            )
            for k in range(len(windows))
        ]


def one_line(error: Exception) -> str:
    """Class and first line of an error."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"

"""Labels: import them from a file; a simulated annotator for tests and demos."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa

from activitymodule.errors import ConfigError, ConflictError, DataError
from activitymodule.kafka.truth import read_truth
from activitymodule.lake.labels import read_labels, text_of
from activitymodule.lake.span_csv import spans_from_csv, zone_of
from activitymodule.models.evaluation.against_truth import SHARE
from activitymodule.settings import Settings
from activitymodule.store.answers import answer
from activitymodule.store.connection import Connection, connect, explained, transact, without_conflict
from activitymodule.store.import_export import ImportCount, ImportRows, import_labels
from activitymodule.store.items import Item
from activitymodule.store.leases import lease_next, release
from activitymodule.store.spans import SpanImportCount, SpanRow, import_spans
from activitymodule.text import NAME_TEXT, name_of

_POLL_SECONDS = 1.0
_TRUTH_SECONDS = 3.0  # between reads of the truth topic


def import_file(config: Settings, path: Path, annotator: str) -> ImportCount:
    """Add the answers of a file (CSV, or JSON of Label Studio) that are newer than those of the store.

    annotator : whose labels they are where the file does not say. Raises ConfigError or DataError, which names file,
    row and column.
    """
    content, name = _content_of(path), _name_of(annotator)
    try:
        rows = label_rows(config, content, name)
        return transact(
            config, lambda connection: import_labels(connection, rows, minutes=config.queue.lease_minutes)
        )
    except DataError as error:
        raise DataError(f"{path}: {error}; nothing was imported") from None


def import_span_file(
    config: Settings, path: Path, annotator: str, zone: str | None, recorded_by: str
) -> SpanImportCount:
    """Add the spans of a CSV file that the store does not have.

    annotator : whose spans they are where the file does not say; zone : of times without an offset. Raises ConfigError
    or DataError, which names file, row and column.
    """
    content, name = _content_of(path), _name_of(annotator)
    try:
        rows = span_rows(content, name, zone)
        return transact(config, lambda connection: import_spans(connection, rows, recorded_by=recorded_by))
    except DataError as error:
        raise DataError(f"{path}: {error}; nothing was imported") from None


def _content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _name_of(annotator: str) -> str:
    name = name_of(annotator)
    if name is None:
        raise ConfigError(f"{annotator[:40]!r} is no valid annotator name: {NAME_TEXT}")
    return name


def span_rows(content: bytes, annotator: str, zone: str | None) -> list[SpanRow]:
    """The spans in a file's content. Raises DataError, which names row and column, ConfigError for no time zone."""
    return spans_from_csv(text_of(content), annotator=annotator, zone=zone_of(zone))


def label_rows(config: Settings, content: bytes, annotator: str) -> ImportRows:
    """The answers in a file's content, by the settings. Raises DataError, which names row and column."""
    return read_labels(
        text_of(content),
        annotator=annotator,
        window_seconds=config.windows.length_seconds,
        question=config.labels,
    )


# ---- the simulated annotator -------------------------------------------------------------------------------


@dataclass(frozen=True)
class OracleCount:
    """What the simulated annotators answered: items = labels + unsure; wrong: labels that are wrong on purpose."""

    items: int = 0
    labels: int = 0
    wrong: int = 0
    unsure: int = 0


class Truth:
    """The true activity by watch and time, from the truth topic."""

    def __init__(self) -> None:
        self._spans: dict[str, set[tuple[int, int, str]]] = {}

    def learn(self, spans: pa.Table) -> None:
        """Replace all spans by these (against_truth.SPAN_SCHEMA)."""
        self._spans = {}
        for device, start, end, activity in zip(
            *(spans.column(name).to_pylist() for name in ("device_id", "start_us", "end_us", "activity")),
            strict=True,
        ):
            # a set: the same span may have been sent twice
            self._spans.setdefault(device, set()).add((start, end, activity))

    def label(self, device_id: str, start_us: int, end_us: int) -> str | None:
        """The activity of at least 90 % of a window, or None."""
        shares: Counter[str] = Counter()
        for start, end, activity in self._spans.get(device_id, ()):
            shares[activity] += max(0, min(end, end_us) - max(start, start_us))
        if not shares:
            return None
        best, covered = shares.most_common(1)[0]
        return best if covered >= SHARE * (end_us - start_us) else None

    def reaches(self, device_id: str, end_us: int) -> bool:
        """Whether spans of a watch go on after this time: what has no label before it will have none."""
        return any(end > end_us for _, end, _ in self._spans.get(device_id, ()))


def run_oracle(
    config: Settings,
    *,
    error_rate: float = 0.0,
    items: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    annotators: int = 2,
) -> OracleCount:
    """Lease and answer queue items from the truth topic until `items` are answered or `seconds` have passed; without
    either until no item waits.

    `annotators` take turns, so that items which require two labels get both. A window without a truth is left for
    later while there is time, and answered `unsure` at the end.
    """
    until = None if seconds is None else time.monotonic() + seconds
    connection = connect(config)
    try:
        with explained(config):
            oracle = _Oracle(config, connection, error_rate, seed, annotators, until)
            while items is None or oracle.answers.total() < items:
                answered = oracle.take_turns(None if items is None else items - oracle.answers.total())
                if until is not None and time.monotonic() >= until:
                    break
                if not answered:
                    if until is None:
                        break
                    time.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))
    finally:
        connection.close()
    right, wrong, unsure = (oracle.answers[kind] for kind in ("right", "wrong", "unsure"))
    return OracleCount(right + wrong + unsure, right + wrong, wrong, unsure)


_Answer = Literal["right", "wrong", "unsure"]


class _Oracle:
    """Simulated annotators that answer from the truth, wrongly at a given rate."""

    def __init__(
        self,
        config: Settings,
        connection: Connection,
        error_rate: float,
        seed: int,
        annotators: int,
        until: float | None,
    ) -> None:
        self.answers: Counter[_Answer] = Counter()
        self._config, self._connection = config, connection
        self._error_rate, self._rng = error_rate, random.Random(seed)
        self._until = -math.inf if until is None else until
        self._names = [f"oracle-{k + 1}" for k in range(max(1, annotators))]
        self._truth, self._read_at = Truth(), -math.inf
        self._later: dict[str, list[int]] = {}  # items of each annotator whose truth is not known yet

    def take_turns(self, most: int | None) -> int:
        """One item for each annotator, at most `most` in all; how many were answered."""
        if time.monotonic() - self._read_at > _TRUTH_SECONDS:
            self._truth.learn(read_truth(self._config).spans)
            self._read_at = time.monotonic()
            self._later = {name: [] for name in self._names}
        before = self.answers.total()
        for name in self._names:
            if most is not None and self.answers.total() - before >= most:
                break
            without_conflict(partial(self._turn, name))
        return self.answers.total() - before

    def _turn(self, name: str) -> None:
        """One transaction. Raises ConflictError where it was undone."""
        try:
            with explained(self._config):
                answered = self._answered(name)
                self._connection.commit()
        except ConflictError:
            self._connection.rollback()
            raise
        if answered is not None:
            self.answers[answered] += 1

    def _answered(self, name: str) -> _Answer | None:
        item = lease_next(self._connection, name, self._config.queue.lease_minutes, besides=self._later[name])
        if item is None:
            return None
        start, end = (round(at.timestamp() * 1e6) for at in (item.window_start, item.window_end))
        label = self._truth.label(item.device_id, start, end)
        if label is None and time.monotonic() + _TRUTH_SECONDS <= self._until:
            release(self._connection, [item.item_id], name)
            self._later[name].append(item.item_id)
            return None
        return self._answer(item, name, label)

    def _answer(self, item: Item, name: str, label: str | None) -> _Answer:
        minutes = self._config.queue.lease_minutes
        if label is None:
            answer(self._connection, item.item_id, name, "unsure", minutes=minutes, origin="oracle")
            return "unsure"
        others = [one for one in item.labels if one != label]
        wrong = self._rng.random() < self._error_rate and bool(others)
        if wrong:
            label = self._rng.choice(others)
        answer(
            self._connection, item.item_id, name, "label", label, minutes=minutes, origin="oracle", seconds=0
        )
        return "wrong" if wrong else "right"

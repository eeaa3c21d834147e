"""Queue items prepared for the Annotate page: plot, surroundings, similar windows. Blocks; runs in a thread, ahead of
the annotator."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import numpy as np
from pydantic import BaseModel

from activitymodule.errors import AuditItemError
from activitymodule.learning.strata import AUDIT
from activitymodule.settings import Settings
from activitymodule.store import items as store_items
from activitymodule.store import labels as store_labels
from activitymodule.store import leases
from activitymodule.store.connection import Connection
from activitymodule.store.devices import models_for
from activitymodule.store.items import Item, Neighbour
from annotation import frame
from annotation.archived import archived_records
from annotation.palette import colour
from annotation.signals import Facts, facts, microseconds, plot, small, unpack

STRIP_BEFORE, STRIP_AFTER = timedelta(minutes=30), timedelta(minutes=5)
SIMILAR = 4
BULK = 12
# 95 % of the pairs of windows of one synthesised person in which the activity differs are further apart
ALIKE = 0.9
_KEPT = 6000
_CLIP = 4.0


class FeatureSpace:
    """Features of items, to find similar ones; kept in memory, so that each is read from the store once."""

    def __init__(self) -> None:
        self._held: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def matrix(self, connection: Connection, item_ids: list[int]) -> tuple[list[int], np.ndarray]:
        """The items that still exist, and their features, float32 (n, n_features)."""
        with self._lock:
            missing = [number for number in item_ids if number not in self._held]
        found = store_items.features_of(connection, missing) if missing else {}
        with self._lock:
            self._held |= found
            while len(self._held) > _KEPT:
                del self._held[next(iter(self._held))]
            there = [number for number in item_ids if number in self._held]
            rows = [self._held[number] for number in there]
        return there, np.stack(rows) if rows else np.empty((0, 0), np.float32)

    def scale(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Centre and spread (both (n_features,)) of all items held; None for fewer than three."""
        with self._lock:
            rows = list(self._held.values())
        if len(rows) < 3:
            return None
        size = len(rows[-1])
        held = np.stack([row for row in rows if len(row) == size][-2000:])
        centre = np.zeros(size)
        spread = np.ones(size)
        there = np.isfinite(held)
        some = there.sum(0) >= 3
        centre[some] = np.nanmedian(held[:, some], axis=0)
        spread[some] = np.nanstd(held[:, some], axis=0)
        spread[spread < 1e-6] = 1.0
        return centre, spread

    def nearest(
        self, connection: Connection, item: Item, candidates: list[int], most: int
    ) -> list[tuple[int, float]]:
        """The nearest candidates: (item_id, root mean square distance in standard deviations)."""
        there, rows = self.matrix(connection, candidates)
        if not there:
            return []
        with self._lock:
            self._held.setdefault(item.item_id, item.features)
        scale = self.scale()
        keep = [k for k, row in enumerate(rows) if len(row) == len(item.features)]
        if not keep:
            return []
        centre, spread = (
            scale if scale is not None else (np.zeros(len(item.features)), np.ones(len(item.features)))
        )
        one = np.clip((item.features - centre) / spread, -_CLIP, _CLIP)
        others = np.clip((rows[keep] - centre) / spread, -_CLIP, _CLIP)
        difference = others - one
        both = np.isfinite(difference)
        square = np.where(both, difference, 0.0) ** 2
        distance = np.sqrt(square.sum(1) / np.maximum(both.sum(1), 1))
        order = np.argsort(distance, kind="stable")[:most]
        return [(there[keep[k]], float(distance[k])) for k in order]


SPACE = FeatureSpace()


@dataclass(frozen=True)
class Around:
    """Records of a window and its neighbours (RECORD, in the order of time), and where the neighbours came from."""

    records: np.ndarray
    source: str  # "", "queue", "archive"


def surroundings(connection: Connection, config: Settings, item: Item) -> Around:
    """The readings of the item, and of the windows before and after it as far as they are available."""
    length = item.window_end - item.window_start
    since, until = item.window_start - length, item.window_end + length
    packed = store_items.neighbour_readings(connection, item.device_id, since, until)
    records = unpack([item.readings, *(readings for _, readings in packed)])
    low, high = microseconds(item.window_start), microseconds(item.window_end)
    missing = not (records["stamp_us"] < low).any() or not (records["stamp_us"] >= high).any()
    source = "queue" if len(packed) > 1 else ""
    if missing:
        known = models_for(connection, [item.device_id])
        more = archived_records(config, item.device_id, since, until, known)
        # the window itself stays as it was queued; the archive may hold later readings of it
        more = more[(more["stamp_us"] < low) | (more["stamp_us"] >= high)]
        if len(more):
            records = unpack([records.tobytes(), more.tobytes()])
            source = "archive"
    return Around(records, source)


def strip(neighbours: list[Neighbour], item: Item, since: datetime, until: datetime) -> str:
    """The stored predictions around a window as a coloured strip (HTML), without the window itself."""
    span = (until - since).total_seconds()

    def share(at: datetime) -> float:
        return min(max((at - since).total_seconds() / span, 0), 1) * 100

    runs: list[list[Any]] = []
    for one in neighbours:
        if one.window_start == item.window_start:
            continue
        if runs and runs[-1][2] == one.activity and (one.window_start - runs[-1][1]).total_seconds() < 1:
            runs[-1][1] = one.window_end
        else:
            runs.append([one.window_start, one.window_end, one.activity])
    bars = "".join(
        f'<i style="left:{share(start):.2f}%;width:{share(end) - share(start):.2f}%;background:{colour(activity)}" '
        f'title="{escape(activity or "no activity")}"></i>'
        for start, end, activity in runs
    )
    seconds: dict[str, float] = {}
    for start, end, activity in runs:
        seconds[activity or "no activity"] = (
            seconds.get(activity or "no activity", 0) + (end - start).total_seconds()
        )
    legend = "".join(
        f'<span><span class="dot" style="--c:{colour(None if name == "no activity" else name)}"></span>'
        f"{escape(name)} {_duration(total)}</span>"
        for name, total in sorted(seconds.items(), key=lambda pair: -pair[1])
    )
    left, right = share(item.window_start), share(item.window_end)
    return (
        f'<div class="strip" aria-hidden="true">{bars}'
        f'<b style="left:{left:.2f}%;width:max({right - left:.2f}%,9px)"></b></div>'
        f'<div class="strip-scale" aria-hidden="true"><span style="left:0">{_minutes(since - item.window_start)}</span>'
        f'<span style="left:{left:.2f}%">this window</span></div>'
        f'<div class="strip-legend"><span class="sr">Predictions around this window: </span>{legend}</div>'
    )


def _minutes(offset: timedelta) -> str:
    return f"{offset.total_seconds() / 60:+.0f} min".replace("-", "−")  # noqa: RUF001


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def tile(item: Item, label: str | None = None) -> str:
    """A small picture of an item (HTML), with its label if it has one."""
    records = unpack([item.readings])
    low, high = microseconds(item.window_start), microseconds(item.window_end)
    held = facts(records)
    caption = f'<span class="dot" style="--c:{colour(label)}"></span>{escape(label)}' if label else ""
    rate = f"{held.heart_rate:.0f} bpm" if held.heart_rate is not None else ""
    return (
        f'<span class="tile-plot">{small(records, low, high)}</span>'
        f'<span class="tile-line"><span>{caption or f"{item.window_start:%H:%M:%S}"}</span><span>{rate}</span></span>'
        f'<span class="sr">{escape(held.sentence())}</span>'
    )


def label_key(labels: tuple[str, ...]) -> dict[str, str]:
    """A key for each label: its first letter that is not taken; labels without one are left out."""
    taken = set("zsufhobn?")
    keys: dict[str, str] = {}
    for label in labels:
        letter = next((c for c in label.lower() if c.isascii() and c.isalpha() and c not in taken), None)
        if letter is not None:
            taken.add(letter)
            keys[label] = letter
    return keys


class Prepared(BaseModel):
    """Everything the page shows of an item; plot, strip and similar are HTML of our own.

    start : ISO 8601, UTC; context : where the readings before and after come from ("", "queue", "archive")
    model : label -> probability; it and the strip are empty for an audit item, whose annotator sees no prediction
    """

    item_id: int
    device: str
    start: str
    seconds: float
    plot: str
    summary: str
    figures: list[tuple[str, str]]
    context: str
    strip: str
    similar: list[str]
    model: dict[str, float]
    audit: bool


class Tile(BaseModel):
    """A similar window; alike : near enough to be selected beforehand."""

    item_id: int
    alike: bool
    html: str


def prepared(connection: Connection, config: Settings, item: Item, width: int, height: int = 0) -> Prepared:
    """An item, ready to be shown in a plot of width x height pixels."""
    around = surroundings(connection, config, item)
    low, high = microseconds(item.window_start), microseconds(item.window_end)
    own = facts(around.records[(around.records["stamp_us"] >= low) & (around.records["stamp_us"] < high)])
    since, until = item.window_start - STRIP_BEFORE, item.window_end + STRIP_AFTER
    audit = item.stratum == AUDIT
    # what the model says of the windows around it says what it says of this one
    neighbours = [] if audit else store_items.around(connection, item.device_id, since, until)
    gold = store_labels.labelled_items(connection, item.features_version)
    gold.pop(item.item_id, None)
    similar = SPACE.nearest(connection, item, list(gold), SIMILAR)
    others = [store_items.get_item(connection, number) for number, _ in similar]
    seconds = (item.window_end - item.window_start).total_seconds()
    return Prepared(
        item_id=item.item_id,
        device=item.device_id,
        start=item.window_start.astimezone(UTC).isoformat(),
        seconds=seconds,
        plot=plot(around.records, low, high, width, height=height, what=own.sentence()),
        summary=own.sentence(),
        figures=_figures(own, seconds, None if audit else item.familiarity),
        context=around.source,
        strip=strip(neighbours, item, since, until) if len(neighbours) > 1 else "",
        similar=[f'<div class="tile">{tile(other, gold[other.item_id])}</div>' for other in others],
        model={}
        if audit
        else dict(zip(item.labels, (round(p, 4) for p in item.probabilities), strict=False)),
        audit=audit,
    )


def _figures(own: Facts, seconds: float, familiarity: float | None) -> list[tuple[str, str]]:
    figures = [] if familiarity is None else [("Familiarity", frame.familiarity(familiarity))]
    if own.heart_rate is not None:
        figures.append(("Heart rate", f"{own.heart_rate:.0f} bpm"))
    if own.steps is not None:
        figures.append(("Steps", f"{own.steps} ({own.steps / seconds * 60:.0f}/min)"))
    if own.speed is not None:
        figures.append(("Speed", f"{own.speed:.1f} m/s"))
    return figures


def bulk(connection: Connection, item: Item, annotator: str, minutes: float) -> list[Tile]:
    """Open items of the same watch most like this one, leased for the annotator, the nearest first.

    Raises AuditItemError where this one is of the audit share.
    """
    if item.stratum == AUDIT:
        raise AuditItemError("a window of the audit share is labelled alone; label it on its own")
    candidates = store_items.open_of_device(connection, item, annotator)
    near = SPACE.nearest(connection, item, candidates, BULK)
    held = set(leases.lease_these(connection, [number for number, _ in near], annotator, minutes))
    return [
        Tile(
            item_id=number,
            alike=distance <= ALIKE,
            html=tile(store_items.get_item(connection, number)),
        )
        for number, distance in near
        if number in held
    ]


def labels_for(connection: Connection, config: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels of the champion, and other labels in use."""
    return store_labels.offered_labels(connection, config.registry.classifier)

"""Labels: how one is spelled, which are offered, and the gold labels that train and evaluate models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from activitymodule.errors import DataError
from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all, fetch_one, fetch_row
from activitymodule.store.times import AS_US
from activitymodule.text import LABEL_TEXT, LONGEST_LABEL, label_key, label_of, lower

_SPELLINGS = "SELECT DISTINCT unnest(labels) FROM model_versions"


class Spellings:
    """How labels are spelled: as a model version does, else in lower case. Read once, for many labels."""

    def __init__(self, connection: Connection) -> None:
        self._known: dict[str, set[str]] = {}
        for (label,) in fetch_all(connection, _SPELLINGS):
            self._known.setdefault(label_key(label), set()).add(label)

    def known(self, label: str) -> str | None:
        """The spelling of a model version; None where no version has the label."""
        known = self._known.get(label_key(label), set())
        return label if label in known else min(known, default=None)

    def clean(self, label: str) -> str:
        """A label as it is stored. Raises DataError for text that is no valid label."""
        if (known := self.known(label)) is not None:
            return known
        valid = label_of(label)
        if valid is None:
            raise DataError(f"{label[:LONGEST_LABEL]!r} is no valid label: {LABEL_TEXT}")
        return lower(valid)


def clean_label(connection: Connection, label: str) -> str:
    """A label as it is stored: in the spelling of a model version, else in lower case.

    Raises DataError for text that is no valid label.
    """
    return Spellings(connection).clean(label)


_SERVING_LABELS = """
SELECT labels FROM model_versions WHERE name = %(name)s
ORDER BY version = (SELECT model_version FROM batches WHERE model_version IS NOT NULL
                    ORDER BY started_at DESC LIMIT 1) DESC NULLS LAST, registered_at DESC
LIMIT 1
"""
_OTHER_LABELS = """
SELECT label FROM annotations_in_force WHERE answer = 'label' AND label <> ALL (%(known)s)
GROUP BY label ORDER BY count(*) DESC, label LIMIT 12
"""


def offered_labels(connection: Connection, classifier: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of the version that serves, and other labels annotators have used, the most frequent first."""
    row = fetch_row(connection, _SERVING_LABELS, {"name": classifier})
    known = list(row[0]) if row else []
    others = fetch_all(connection, _OTHER_LABELS, {"known": known})
    return tuple(known), tuple(one[0] for one in others)


# ---- gold labels


@dataclass(frozen=True)
class GoldRow:
    """A labelled window with what its queue item holds."""

    device_id: str
    person: str  # who wore it, the watch itself where that is not known
    window_us: int
    label: str
    stratum: str
    propensity: float
    features: list[float]
    labelled_at: datetime


@dataclass(frozen=True)
class LabelCounts:
    """How many gold labels there are, and when the newest was made."""

    teaching: int  # for training
    new: int  # of these, made since a given time
    audit: int  # for evaluation
    audit_people: int
    disputed: int
    without_features: int  # without a queue item
    other_features: int  # with features of another version
    newest: datetime | None
    spans: int = 0  # of those for training: what windows under spans are worth


@dataclass(frozen=True)
class GoldPredictions:
    """Labelled items with the predictions they were queued with, made before the model could learn the label.

    item_id, label, labelled_at : (n,); probabilities : float64 (n, n_labels); labels : of the columns
    """

    item_id: list[int]
    label: list[str]
    labelled_at: list[datetime]
    probabilities: np.ndarray
    labels: tuple[str, ...]


_GOLD = """
SELECT q.device_id, person_of(q.device_id, q.window_start),
       (extract(epoch FROM q.window_start) * 1000000)::bigint, g.label, q.stratum, q.propensity,
       CASE WHEN %(features)s THEN q.features ELSE '{}' END, g.labelled_at
FROM gold_labels g JOIN queue_items q USING (device_id, window_start)
WHERE g.label IS NOT NULL AND q.features_version = %(version)s
ORDER BY q.device_id, q.window_start
"""
_COUNTS = """
SELECT count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum <> 'audit'),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum <> 'audit'
                          AND (%(since)s::timestamptz IS NULL OR g.labelled_at > %(since)s)),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum = 'audit'),
       count(DISTINCT person_of(g.device_id, g.window_start))
           FILTER (WHERE g.label IS NOT NULL AND q.features_version = %(features)s AND q.stratum = 'audit'),
       count(*) FILTER (WHERE g.disputed),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.device_id IS NULL),
       count(*) FILTER (WHERE g.label IS NOT NULL AND q.features_version <> %(features)s),
       max(g.labelled_at)
FROM gold_labels g LEFT JOIN queue_items q USING (device_id, window_start)
"""
_CLAIMED = f"""
SELECT device_id, {AS_US.format("window_start")}, true FROM queue_items
WHERE device_id = ANY (%(devices)s) AND stratum = 'audit'
UNION
SELECT device_id, {AS_US.format("window_start")}, false FROM annotations_in_force
WHERE device_id = ANY (%(devices)s) AND answer = 'label'
"""
_OF_ITEMS = """
SELECT q.item_id, g.label FROM gold_labels g JOIN queue_items q USING (device_id, window_start)
WHERE g.label IS NOT NULL AND q.features_version = %s ORDER BY g.labelled_at DESC LIMIT %s
"""
_WITH_PREDICTIONS = """
SELECT q.item_id, g.label, g.labelled_at, q.probabilities
FROM gold_labels g JOIN queue_items q USING (device_id, window_start)
WHERE g.label IS NOT NULL AND NOT g.adjudicated AND q.stratum <> 'audit'
  AND (SELECT m.labels FROM model_versions m WHERE m.version = q.model_version
       ORDER BY m.registered_at DESC LIMIT 1) = %s
ORDER BY g.labelled_at DESC LIMIT %s
"""
_SHARED = """
SELECT annotator, device_id || ' ' || window_start::text, label FROM (
    SELECT a.*, count(*) OVER (PARTITION BY device_id, window_start) AS votes FROM annotations_in_force a
    WHERE answer = 'label' AND NOT adjudicates) AS labelled
WHERE votes > 1
"""


def gold_rows(connection: Connection, features_version: str, *, features: bool = True) -> list[GoldRow]:
    """Every gold label whose window has features of this version, ordered by watch and time.

    features : whether to read them; they are most of the bytes
    """
    values = {"features": features, "version": features_version}
    return [GoldRow(*row) for row in fetch_all(connection, _GOLD, values)]


def claimed_windows(connection: Connection, devices: Sequence[str]) -> list[tuple[str, int, bool]]:
    """Windows that no span labels, (device_id, window_us, audit): those of the audit share, labelled or not, and those
    with a label of their own."""
    return [(row[0], row[1], row[2]) for row in fetch_all(connection, _CLAIMED, {"devices": list(devices)})]


def label_counts(connection: Connection, features_version: str, since: datetime | None) -> LabelCounts:
    """Counts of gold labels; `new` are those since a time (all of them without one)."""
    return LabelCounts(*fetch_one(connection, _COUNTS, {"features": features_version, "since": since}))


def labelled_items(connection: Connection, features_version: str, limit: int = 3000) -> dict[int, str]:
    """Gold label by item, of the newest labelled items."""
    rows = fetch_all(connection, _OF_ITEMS, (features_version, limit))
    return {row[0]: row[1] for row in rows}


def gold_predictions(connection: Connection, classifier: str, limit: int = 3000) -> GoldPredictions | None:
    """Gold labels of items, adjudicated ones left out, beside the probabilities they were queued with.

    Without the audit share: a label that was changed because the model differs cannot evaluate it.
    Only items whose version has the label set of the one that serves; None where there is no such version.
    """
    known, _ = offered_labels(connection, classifier)
    if not known:
        return None
    rows = fetch_all(connection, _WITH_PREDICTIONS, (list(known), limit))
    return GoldPredictions(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        np.array([row[3] for row in rows], np.float64).reshape(len(rows), len(known)),
        known,
    )


def pairs_of_labels(connection: Connection) -> list[tuple[str, str, str]]:
    """(annotator, window, label) of every window with two or more votes: the input of Cohen's kappa."""
    return [(annotator, window, label) for annotator, window, label in fetch_all(connection, _SHARED)]

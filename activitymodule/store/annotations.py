"""Queue items on their way through people's hands: leases, answers, undo, review, import and export.

Everything is done in the caller's transaction. Whatever decides about an item first locks its row and then looks
at leases and answers with a new statement, so that two annotators never hold one item unless it wants two. Nothing
is ever changed in `annotations`: an answer is taken back by a row that undoes it, and whether an item is open
follows from the rows in force (`_settle`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

import numpy as np

from activitymodule.errors import DataError, RefusedError
from activitymodule.store.connection import Connection

Answer = Literal["label", "skip", "unsure", "flag"]
Origin = Literal["console", "bulk", "import", "oracle", "review"]
ANSWERS: tuple[Answer, ...] = ("label", "skip", "unsure", "flag")

UNDO_STEPS = 10  # how far back an annotator may take back answers
DECLINES_TO_WITHDRAW = 3  # so many people without a label: the window cannot be told
LONGEST_NOTE = 500

_LABEL = re.compile(r"[^\W_][\w /()&'.,+-]{0,59}")


@dataclass(frozen=True)
class Item:
    """A queue item as it is shown. `labels` are of the probabilities; `readings` are packed RECORDs."""

    item_id: int
    device_id: str
    window_start: datetime
    window_end: datetime
    stratum: str
    reason: str
    required_labels: int
    queued_at: datetime
    readings: bytes
    features: np.ndarray  # float32 (n_features,)
    features_version: str
    activity: str
    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    conformal_set: tuple[str, ...]
    kcal_per_min: float | None
    model_version: str


# array_send is PostgreSQL's binary form of an array: no text to parse for some 300 numbers
_ITEM = """
SELECT q.item_id, q.device_id, q.window_start, q.window_end, q.stratum, q.reason, q.required_labels, q.queued_at,
       q.readings, array_send(q.features) AS features, q.features_version, q.activity, q.probabilities,
       coalesce((SELECT m.labels FROM model_versions m WHERE m.version = q.model_version
                 ORDER BY m.registered_at DESC LIMIT 1), '{}') AS labels,
       q.conformal_set, q.kcal_per_min, q.model_version
FROM queue_items q
"""

_IN_FORCE = """
a.answer <> 'undo' AND NOT EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id)
"""

# first what the annotator holds already (the page was loaded again), then whoever has waited longest: audit and
# chosen items come as they were queued, so neither waits for the other
_CANDIDATE = f"""
SELECT q.item_id
FROM queue_items q
LEFT JOIN leases own ON own.item_id = q.item_id AND own.annotator = %(annotator)s
     AND own.expires_at > clock_timestamp()
WHERE q.closed_at IS NULL AND q.expires_at > clock_timestamp()
  AND q.item_id <> ALL (%(besides)s)
  AND NOT EXISTS (SELECT FROM annotations a WHERE a.item_id = q.item_id AND a.annotator = %(annotator)s
                  AND {_IN_FORCE})
  AND (SELECT count(*) FROM leases l WHERE l.item_id = q.item_id AND l.annotator <> %(annotator)s
       AND l.expires_at > clock_timestamp())
    + (SELECT count(DISTINCT a.annotator) FROM annotations a WHERE a.item_id = q.item_id
       AND a.answer = 'label' AND {_IN_FORCE}) < q.required_labels
ORDER BY own.item_id IS NULL, q.queued_at, q.item_id
LIMIT 1 FOR UPDATE OF q SKIP LOCKED
"""

_STANDING = f"""
SELECT q.required_labels, q.closed_at IS NULL, q.expires_at > clock_timestamp(),
       (SELECT count(*) FROM leases l WHERE l.item_id = q.item_id AND l.annotator <> %(annotator)s
        AND l.expires_at > clock_timestamp()),
       (SELECT count(DISTINCT a.annotator) FROM annotations a WHERE a.item_id = q.item_id
        AND a.answer = 'label' AND NOT a.adjudicates AND {_IN_FORCE}),
       EXISTS (SELECT FROM annotations a WHERE a.item_id = q.item_id AND a.annotator = %(annotator)s
               AND NOT a.adjudicates AND {_IN_FORCE})
FROM queue_items q WHERE q.item_id = %(item_id)s
"""

_LEASE = """
INSERT INTO leases (item_id, annotator, expires_at)
VALUES (%(item_id)s, %(annotator)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (item_id, annotator) DO UPDATE SET
    leased_at = CASE WHEN leases.expires_at > clock_timestamp() THEN leases.leased_at ELSE clock_timestamp() END,
    expires_at = excluded.expires_at
"""

_ANNOTATE = """
INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, label, adjudicates,
    origin, seconds, model_version, suggested, model_hidden, note, created_at)
SELECT q.item_id, q.device_id, q.window_start, q.window_end, %(annotator)s, %(answer)s, %(label)s,
    %(adjudicates)s, %(origin)s, %(seconds)s, q.model_version, q.activity, %(model_hidden)s, %(note)s,
    coalesce(%(at)s, clock_timestamp())
FROM queue_items q WHERE q.item_id = %(item_id)s
RETURNING annotation_id
"""

_SETTLE = f"""
WITH said AS (
    SELECT DISTINCT ON (a.annotator, a.adjudicates) a.annotator, a.answer, a.adjudicates
    FROM annotations a WHERE a.item_id = %(item_id)s AND {_IN_FORCE}
    ORDER BY a.annotator, a.adjudicates, a.annotation_id DESC
), counted AS (
    SELECT count(*) FILTER (WHERE answer = 'label' AND NOT adjudicates) AS labels,
           count(*) FILTER (WHERE answer <> 'label' AND NOT adjudicates) AS declines,
           coalesce(bool_or(adjudicates AND answer = 'label'), false) AS decided,
           coalesce(bool_or(adjudicates AND answer <> 'label'), false) AS dismissed
    FROM said
), due AS (
    SELECT CASE WHEN decided OR labels >= q.required_labels THEN 'answered'
                WHEN dismissed OR declines >= {DECLINES_TO_WITHDRAW} THEN 'withdrawn' END AS because
    FROM counted, queue_items q WHERE q.item_id = %(item_id)s
)
UPDATE queue_items q SET
    closed_because = due.because,
    closed_at = CASE WHEN due.because IS NOT NULL THEN coalesce(q.closed_at, clock_timestamp()) END,
    -- what is open again stays so at least as long as a lease
    expires_at = CASE WHEN due.because IS NULL
                      THEN greatest(q.expires_at, clock_timestamp() + make_interval(secs => %(seconds)s))
                      ELSE q.expires_at END
FROM due
WHERE q.item_id = %(item_id)s AND q.closed_because IS DISTINCT FROM due.because
  AND NOT (due.because IS NULL AND q.closed_because = 'expired')
"""


def floats_of(sent: bytes | memoryview) -> np.ndarray:
    """float32 (n,) of what array_send made of a real[] without nulls."""
    data = bytes(sent)
    if len(data) < 20:
        return np.empty(0, np.float32)
    pairs = np.frombuffer(data, np.dtype([("size", ">i4"), ("value", ">f4")]), offset=20)
    return pairs["value"].astype(np.float32)


def _item(row: Sequence[Any]) -> Item:
    held = dict(zip((field.name for field in fields(Item)), row, strict=True))
    held["readings"] = bytes(held["readings"])
    held["features"] = floats_of(held["features"])
    for name in ("probabilities", "labels", "conformal_set"):
        held[name] = tuple(held[name])
    return Item(**held)


def get_item(connection: Connection, item_id: int) -> Item:
    """One item, open or not. Raises DataError where there is none such."""
    with connection.cursor() as cursor:
        cursor.execute(_ITEM + "WHERE q.item_id = %s", (item_id,))
        row = cursor.fetchone()
    if row is None:
        raise DataError(f"there is no queue item {item_id}; it may have been pruned")
    return _item(row)


def clean_label(connection: Connection, label: str) -> str:
    """A label as it is stored: one that some model version or annotation has, or a new one, in lower case.

    Raises DataError for what cannot be a label.
    """
    label = " ".join(label.replace("\0", "\ufffd").split())  # PostgreSQL's text has no NUL
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT label FROM (SELECT unnest(labels) AS label FROM model_versions) m "
            "WHERE lower(label) = lower(%(label)s) ORDER BY label <> %(label)s LIMIT 1",
            {"label": label},
        )
        row = cursor.fetchone()
    if row:
        return str(row[0])
    if not _LABEL.fullmatch(label):
        raise DataError(
            f"{label[:60]!r} cannot be a label: up to 60 letters, digits, spaces and - / ( ) & ' . , +, beginning "
            "with a letter or digit"
        )
    return label.lower()


# ---- leases -------------------------------------------------------------------------------------------------


def lease_next(
    connection: Connection, annotator: str, minutes: float, *, besides: Sequence[int] = ()
) -> Item | None:
    """Lease the next item for an annotator, or None where nothing waits for them.

    Never one they answered, skipped or flagged, and never one that others hold or have labelled as often as it
    is wanted. `besides`: items not to give (those on their screen).
    """
    passed = list(besides)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_CANDIDATE, {"annotator": annotator, "besides": passed})
            row = cursor.fetchone()
            if row is None:
                return None
            # the row is ours now; whoever had it before us may have leased it meanwhile
            if _may_take(cursor, row[0], annotator):
                _lease(cursor, row[0], annotator, minutes)
                return get_item(connection, row[0])
            passed.append(row[0])


def _may_take(cursor: Any, item_id: int, annotator: str) -> bool:
    cursor.execute(_STANDING, {"item_id": item_id, "annotator": annotator})
    row = cursor.fetchone()
    if row is None:
        return False
    required, is_open, current, held, labelled, answered = row
    return is_open and current and not answered and held + labelled < required


def _lease(cursor: Any, item_id: int, annotator: str, minutes: float) -> None:
    cursor.execute(_LEASE, {"item_id": item_id, "annotator": annotator, "seconds": minutes * 60})


def lease_these(connection: Connection, item_ids: Sequence[int], annotator: str, minutes: float) -> list[int]:
    """Lease as many of these as can be had; returns which."""
    taken = []
    with connection.cursor() as cursor:
        # in one order, so that two who want the same do not wait for each other
        for item_id in sorted(set(item_ids)):
            cursor.execute("SELECT 1 FROM queue_items WHERE item_id = %s FOR UPDATE SKIP LOCKED", (item_id,))
            if cursor.fetchone() and _may_take(cursor, item_id, annotator):
                _lease(cursor, item_id, annotator, minutes)
                taken.append(item_id)
    return taken


def renew(connection: Connection, item_id: int, annotator: str, minutes: float) -> bool:
    """Hold an item for longer; False where it is the annotator's no more (it was over, and somebody took it)."""
    return bool(lease_these(connection, [item_id], annotator, minutes))


def release(connection: Connection, item_ids: Sequence[int], annotator: str) -> None:
    """Give items back unanswered."""
    with connection.cursor() as cursor:
        cursor.execute(
            # in one order, as they are taken: the page may be renewing them at the same time
            "DELETE FROM leases WHERE (item_id, annotator) IN (SELECT item_id, annotator FROM leases "
            "WHERE annotator = %s AND item_id = ANY (%s) ORDER BY item_id FOR UPDATE)",
            (annotator, list(item_ids)),
        )


def clear_leases(connection: Connection) -> int:
    """Remove leases that are long over; they count for nothing anyway."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM leases WHERE expires_at < clock_timestamp() - interval '1 hour'")
        return int(cursor.rowcount)


# ---- answers ------------------------------------------------------------------------------------------------


def answer(
    connection: Connection,
    item_id: int,
    annotator: str,
    kind: Answer,
    label: str | None = None,
    *,
    minutes: float,
    origin: Origin = "console",
    seconds: float | None = None,
    model_hidden: bool | None = None,
    note: str | None = None,
    at: datetime | None = None,
) -> int:
    """Add an annotator's answer, and close the item when as many labels are there as it wants.

    A lease that ran out does no harm as long as nobody else has taken the item. Raises RefusedError where it is
    another's by now, closed, or answered by the same person before; DataError for a label that cannot be.
    """
    if (kind == "label") != (label is not None):
        raise DataError("a label goes with the answer `label`, and with no other")
    if label is not None:
        label = clean_label(connection, label)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM queue_items WHERE item_id = %s FOR UPDATE", (item_id,))
        if cursor.fetchone() is None:
            raise DataError(f"there is no queue item {item_id}; it may have been pruned")
        cursor.execute(_STANDING, {"item_id": item_id, "annotator": annotator})
        required, is_open, _, held, labelled, answered = cursor.fetchone()
        if answered:
            raise RefusedError("you have answered this window already; take that back first (z)")
        if not is_open:
            raise RefusedError("this window is closed: it was answered by others or has expired meanwhile")
        if held + labelled >= required:
            raise RefusedError("your hold on this window ran out, and somebody else has it now")
        number = _annotate(cursor, item_id, annotator, kind, label, origin, seconds, model_hidden, note, at)
        cursor.execute("DELETE FROM leases WHERE item_id = %s AND annotator = %s", (item_id, annotator))
        _settle(cursor, item_id, minutes)
    return number


def _annotate(
    cursor: Any,
    item_id: int,
    annotator: str,
    kind: Answer,
    label: str | None,
    origin: Origin,
    seconds: float | None,
    model_hidden: bool | None = None,
    note: str | None = None,
    at: datetime | None = None,
    adjudicates: bool = False,
) -> int:
    if seconds is not None and not 0 <= seconds < 86_400:
        seconds = None  # a clock that was set meanwhile says nothing
    cursor.execute(
        _ANNOTATE,
        {
            "item_id": item_id,
            "annotator": annotator,
            "answer": kind,
            "label": label,
            "origin": origin,
            "seconds": seconds,
            "model_hidden": model_hidden,
            "note": _note(note),
            "at": at,
            "adjudicates": adjudicates,
        },
    )
    return int(cursor.fetchone()[0])


def _note(note: str | None) -> str | None:
    return note.replace("\0", "\ufffd")[:LONGEST_NOTE] if note else None


def _settle(cursor: Any, item_id: int, minutes: float) -> None:
    cursor.execute(_SETTLE, {"item_id": item_id, "seconds": minutes * 60})


def answer_many(
    connection: Connection,
    item_ids: Sequence[int],
    annotator: str,
    label: str,
    *,
    minutes: float,
    seconds: float | None = None,
    model_hidden: bool | None = None,
) -> list[int]:
    """One label for several items, one step for undo; returns the items that took it. What is another's by now
    is left out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at = cursor.fetchone()[0]
        taken = []
        for item_id in sorted(set(item_ids)):
            cursor.execute("SAVEPOINT one_of_many")
            try:
                answer(
                    connection,
                    item_id,
                    annotator,
                    "label",
                    label,
                    minutes=minutes,
                    origin="bulk",
                    seconds=seconds,
                    model_hidden=model_hidden,
                    at=at,
                )
            except RefusedError:
                cursor.execute("ROLLBACK TO SAVEPOINT one_of_many")
            else:
                taken.append(item_id)
            cursor.execute("RELEASE SAVEPOINT one_of_many")
    return taken


@dataclass(frozen=True)
class Undone:
    """What was taken back: the items, the answer, and which of the items the annotator holds again."""

    items: tuple[int, ...]
    answer: Answer
    label: str | None
    held: tuple[int, ...]


# a step is an answer, or all answers of one bulk: they have one annotator and one time
_LAST_STEP = """
WITH steps AS (
    SELECT created_at, origin, answer, label, array_agg(annotation_id ORDER BY annotation_id) AS rows,
           array_agg(item_id ORDER BY annotation_id) AS items, max(annotation_id) AS newest,
           bool_or(EXISTS (SELECT FROM annotations u WHERE u.undoes = a.annotation_id)) AS undone
    FROM annotations a
    WHERE annotator = %(annotator)s AND answer <> 'undo' AND NOT adjudicates AND item_id IS NOT NULL
      AND origin IN ('console', 'bulk', 'oracle') AND created_at > clock_timestamp() - interval '1 day'
    GROUP BY created_at, origin, answer, label, CASE WHEN origin <> 'bulk' THEN annotation_id END
    ORDER BY newest DESC LIMIT %(steps)s
)
SELECT rows, items, answer, label FROM steps WHERE NOT undone ORDER BY newest DESC LIMIT 1
"""


def undo(connection: Connection, annotator: str, minutes: float) -> Undone | None:
    """Take back the annotator's last answer (a bulk as a whole) and hold its items again; None where none of
    their last ten can be taken back."""
    with connection.cursor() as cursor:
        # two tabs of one person must not undo the same
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('activity undo ' || %s))", (annotator,))
        cursor.execute(_LAST_STEP, {"annotator": annotator, "steps": UNDO_STEPS})
        row = cursor.fetchone()
        if row is None:
            return None
        numbers, items, kind, label = row
        cursor.execute(
            "SELECT item_id FROM queue_items WHERE item_id = ANY (%s) ORDER BY item_id FOR UPDATE", (items,)
        )
        cursor.execute(
            "INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, undoes, "
            "origin) SELECT item_id, device_id, window_start, window_end, annotator, 'undo', annotation_id, origin "
            "FROM annotations WHERE annotation_id = ANY (%s) ORDER BY annotation_id",
            (numbers,),
        )
        held = []
        for item_id in items:
            _settle(cursor, item_id, minutes)
            if _may_take(cursor, item_id, annotator):
                _lease(cursor, item_id, annotator, minutes)
                held.append(item_id)
    return Undone(tuple(items), kind, label, tuple(held))


# ---- around an item -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """An annotator's hour, and what waits for them."""

    answered: int  # labels this hour, of the annotator
    labelled_today: int
    waiting: int  # open items that may still come to them


_PROGRESS = f"""
SELECT
  (SELECT count(*) FROM annotations a WHERE a.annotator = %(annotator)s AND a.answer = 'label'
   AND a.created_at > date_trunc('hour', clock_timestamp()) AND {_IN_FORCE}),
  (SELECT count(*) FROM annotations a WHERE a.annotator = %(annotator)s AND a.answer = 'label'
   AND a.created_at > date_trunc('day', clock_timestamp()) AND {_IN_FORCE}),
  (SELECT count(*) FROM queue_items q WHERE q.closed_at IS NULL AND q.expires_at > clock_timestamp()
   AND NOT EXISTS (SELECT FROM annotations a WHERE a.item_id = q.item_id AND a.annotator = %(annotator)s
                   AND {_IN_FORCE}))
"""


def progress(connection: Connection, annotator: str) -> Progress:
    """How far the annotator is in this hour (UTC clock hours)."""
    with connection.cursor() as cursor:
        cursor.execute(_PROGRESS, {"annotator": annotator})
        return Progress(*cursor.fetchone())


_OFFERED = """
SELECT labels FROM model_versions WHERE name = %(name)s
ORDER BY version = (SELECT model_version FROM batches WHERE model_version IS NOT NULL
                    ORDER BY started_at DESC LIMIT 1) DESC NULLS LAST, registered_at DESC
LIMIT 1
"""
_OTHERS = """
SELECT label FROM annotations_in_force WHERE answer = 'label' AND label <> ALL (%(known)s)
GROUP BY label ORDER BY count(*) DESC, label LIMIT 12
"""


def offered_labels(connection: Connection, classifier: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels of the version that serves, and others that people have given, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(_OFFERED, {"name": classifier})
        row = cursor.fetchone()
        known = list(row[0]) if row else []
        cursor.execute(_OTHERS, {"known": known})
        return tuple(known), tuple(one[0] for one in cursor.fetchall())


@dataclass(frozen=True)
class Neighbour:
    """A stored prediction of the same watch."""

    window_start: datetime
    window_end: datetime
    activity: str | None
    confidence: float | None


def around(connection: Connection, device_id: str, since: datetime, until: datetime) -> list[Neighbour]:
    """The watch's stored predictions that begin in [since, until), in the order of time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT window_start, window_end, coalesce(smoothed_activity, activity), confidence FROM predictions "
            "WHERE device_id = %s AND window_start >= %s AND window_start < %s ORDER BY window_start LIMIT 2000",
            (device_id, since, until),
        )
        return [Neighbour(*row) for row in cursor.fetchall()]


def neighbour_readings(
    connection: Connection, device_id: str, since: datetime, until: datetime
) -> list[tuple[datetime, bytes]]:
    """Packed readings of queue items of the same watch that begin in [since, until)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT window_start, readings FROM queue_items WHERE device_id = %s AND window_start >= %s "
            "AND window_start < %s ORDER BY window_start",
            (device_id, since, until),
        )
        return [(start, bytes(packed)) for start, packed in cursor.fetchall()]


def open_of_device(connection: Connection, item: Item, annotator: str, limit: int = 200) -> list[int]:
    """Open items of the same watch that may be labelled together with `item`: not those of the audit, which are
    each judged alone, nor those that two are to see, nor what others hold."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT q.item_id FROM queue_items q
            WHERE q.device_id = %(device_id)s AND q.item_id <> %(item_id)s AND q.closed_at IS NULL
              AND q.expires_at > clock_timestamp() AND q.stratum <> 'audit' AND q.required_labels = 1
              AND q.features_version = %(version)s
              AND NOT EXISTS (SELECT FROM leases l WHERE l.item_id = q.item_id AND l.annotator <> %(annotator)s
                              AND l.expires_at > clock_timestamp())
              AND NOT EXISTS (SELECT FROM annotations a WHERE a.item_id = q.item_id AND {_IN_FORCE})
            ORDER BY abs(extract(epoch FROM q.window_start - %(start)s)) LIMIT %(limit)s""",
            {
                "device_id": item.device_id,
                "item_id": item.item_id,
                "version": item.features_version,
                "annotator": annotator,
                "start": item.window_start,
                "limit": limit,
            },
        )
        return [row[0] for row in cursor.fetchall()]


def labelled_items(connection: Connection, features_version: str, limit: int = 3000) -> dict[int, str]:
    """Gold label by item, of the newest labelled items."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT q.item_id, g.label FROM gold_labels g JOIN queue_items q USING (device_id, window_start) "
            "WHERE g.label IS NOT NULL AND q.features_version = %s ORDER BY g.labelled_at DESC LIMIT %s",
            (features_version, limit),
        )
        return dict(cursor.fetchall())


def features_of(connection: Connection, item_ids: Sequence[int]) -> dict[int, np.ndarray]:
    """Features, float32 (n_features,), by item."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT item_id, array_send(features) FROM queue_items WHERE item_id = ANY (%s)",
            (list(item_ids),),
        )
        return {number: floats_of(sent) for number, sent in cursor.fetchall()}


# ---- review -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vote:
    """What one person says of a window."""

    annotator: str
    answer: Answer
    label: str | None
    note: str | None
    seconds: float | None
    created_at: datetime


@dataclass(frozen=True)
class Case:
    """A window that waits for a reviewer: why, and what was said."""

    item_id: int
    why: Literal["disputed", "flagged", "suspicious"]
    at: datetime


_CASES = """
SELECT q.item_id, w.why, w.at
FROM (
    SELECT device_id, window_start, 'disputed' AS why, labelled_at AS at FROM gold_labels WHERE disputed
    UNION ALL
    SELECT device_id, window_start, 'flagged', max(created_at) FROM annotations_in_force
    WHERE answer = 'flag' AND NOT adjudicates GROUP BY 1, 2
) AS w
JOIN queue_items q USING (device_id, window_start)
WHERE NOT EXISTS (SELECT FROM annotations_in_force r WHERE r.device_id = w.device_id
                  AND r.window_start = w.window_start AND r.adjudicates AND r.created_at >= w.at)
ORDER BY w.at, q.item_id
"""


def cases(connection: Connection) -> list[Case]:
    """Disputed and flagged windows that no reviewer has settled since, the oldest first; each once."""
    with connection.cursor() as cursor:
        cursor.execute(_CASES)
        found: dict[int, Case] = {}
        for row in cursor.fetchall():
            found.setdefault(row[0], Case(*row))
        return list(found.values())


def votes(connection: Connection, item_id: int) -> list[Vote]:
    """What each person says of an item's window now, in the order they said it; reviewers' words left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.annotator, a.answer, a.label, a.note, a.seconds, a.created_at FROM annotations_in_force a "
            "JOIN queue_items q USING (device_id, window_start) WHERE q.item_id = %s AND NOT a.adjudicates "
            "ORDER BY a.annotation_id",
            (item_id,),
        )
        return [Vote(*row) for row in cursor.fetchall()]


@dataclass(frozen=True)
class Judged:
    """Labelled items with what the model said of them before it could have learnt the label: one label set.

    item_id, label : (n,); probabilities : float64 (n, n_labels); labels : of the columns
    """

    item_id: list[int]
    label: list[str]
    labelled_at: list[datetime]
    probabilities: np.ndarray
    labels: tuple[str, ...]


def judged_labels(connection: Connection, classifier: str, limit: int = 3000) -> Judged | None:
    """Gold labels of items (adjudicated ones left out) beside the probabilities they were queued with.

    Only items whose version has the label set of the one that serves; None where there is no such version.
    """
    known, _ = offered_labels(connection, classifier)
    if not known:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT q.item_id, g.label, g.labelled_at, q.probabilities FROM gold_labels g "
            "JOIN queue_items q USING (device_id, window_start) "
            "WHERE g.label IS NOT NULL AND NOT g.adjudicated AND (SELECT m.labels FROM model_versions m "
            "WHERE m.version = q.model_version ORDER BY m.registered_at DESC LIMIT 1) = %s "
            "ORDER BY g.labelled_at DESC LIMIT %s",
            (list(known), limit),
        )
        rows = cursor.fetchall()
    return Judged(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        np.array([row[3] for row in rows], np.float64).reshape(len(rows), len(known)),
        known,
    )


def pairs_of_labels(connection: Connection) -> list[tuple[str, str, str]]:
    """(annotator, window, label) of every window that two or more people labelled: for kappa."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT annotator, device_id || ' ' || window_start::text, label FROM ("
            " SELECT a.*, count(*) OVER (PARTITION BY device_id, window_start) AS n FROM annotations_in_force a"
            " WHERE answer = 'label' AND NOT adjudicates) AS x WHERE n > 1"
        )
        return [tuple(row) for row in cursor.fetchall()]


def adjudicate(
    connection: Connection,
    item_id: int,
    reviewer: str,
    label: str | None,
    *,
    minutes: float,
    note: str | None = None,
    seconds: float | None = None,
) -> int:
    """A reviewer's word, which decides over all others: a label, or None: nobody can tell, withdraw it."""
    if label is not None:
        label = clean_label(connection, label)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM queue_items WHERE item_id = %s FOR UPDATE", (item_id,))
        if cursor.fetchone() is None:
            raise DataError(f"there is no queue item {item_id}; it may have been pruned")
        number = _annotate(
            cursor,
            item_id,
            reviewer,
            "label" if label is not None else "skip",
            label,
            "review",
            seconds,
            note=note,
            adjudicates=True,
        )
        cursor.execute("DELETE FROM leases WHERE item_id = %s", (item_id,))
        _settle(cursor, item_id, minutes)
    return number


def undo_adjudication(connection: Connection, reviewer: str, minutes: float) -> int | None:
    """Take back the reviewer's last word of today; returns its item, or None."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('activity undo ' || %s))", (reviewer,))
        cursor.execute(
            f"SELECT a.annotation_id, a.item_id FROM annotations a WHERE a.annotator = %s AND a.adjudicates "
            f"AND a.item_id IS NOT NULL AND a.created_at > clock_timestamp() - interval '1 day' AND {_IN_FORCE} "
            "ORDER BY a.annotation_id DESC LIMIT 1",
            (reviewer,),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute("SELECT 1 FROM queue_items WHERE item_id = %s FOR UPDATE", (row[1],))
        cursor.execute(
            "INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, undoes, "
            "adjudicates, origin) SELECT item_id, device_id, window_start, window_end, annotator, 'undo', "
            "annotation_id, true, origin FROM annotations WHERE annotation_id = %s",
            (row[0],),
        )
        _settle(cursor, row[1], minutes)
    return int(row[1])


# ---- out and in ---------------------------------------------------------------------------------------------

EXPORT_COLUMNS = (
    "annotation_id",
    "device_id",
    "window_start",
    "window_end",
    "annotator",
    "answer",
    "label",
    "adjudicates",
    "origin",
    "seconds",
    "model_version",
    "suggested",
    "model_hidden",
    "note",
    "created_at",
    "gold_label",
    "disputed",
    "stratum",
)


def exported(connection: Connection) -> list[tuple[Any, ...]]:
    """What people say now, one row an annotator and window, with the gold label: EXPORT_COLUMNS."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.annotation_id, a.device_id, a.window_start, a.window_end, a.annotator, a.answer, a.label, "
            "a.adjudicates, a.origin, a.seconds, a.model_version, a.suggested, a.model_hidden, a.note, "
            "a.created_at, g.label, coalesce(g.disputed, false), q.stratum FROM annotations_in_force a "
            "LEFT JOIN gold_labels g USING (device_id, window_start) LEFT JOIN queue_items q USING (item_id) "
            "ORDER BY a.annotation_id"
        )
        return cursor.fetchall()


def readings_of(
    connection: Connection, windows: Sequence[tuple[str, datetime]]
) -> dict[tuple[str, datetime], bytes]:
    """Packed readings by (device_id, window_start), of windows that were queued."""
    if not windows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, window_start, readings FROM queue_items JOIN unnest(%s, %s::timestamptz[]) "
            "AS w (device_id, window_start) USING (device_id, window_start)",
            ([device for device, _ in windows], [start for _, start in windows]),
        )
        return {(device, start): bytes(packed) for device, start, packed in cursor.fetchall()}


@dataclass(frozen=True)
class Imported:
    """A label from outside."""

    device_id: str
    window_start: datetime
    window_end: datetime
    annotator: str
    label: str
    note: str | None = None


@dataclass(frozen=True)
class ImportCount:
    """What became of imported labels."""

    added: int
    known: int  # the same person had said the same of the window
    unmatched: int  # of the added: no queue item, so no readings to learn from


def import_labels(connection: Connection, rows: Iterable[Imported], *, minutes: float) -> ImportCount:
    """Add labels from outside, each once however often it is imported; closes the items they answer."""
    added = known = unmatched = 0
    with connection.cursor() as cursor:
        for row in rows:
            label = clean_label(connection, row.label)
            cursor.execute(
                "SELECT item_id FROM queue_items WHERE device_id = %s AND window_start = %s FOR UPDATE",
                (row.device_id, row.window_start),
            )
            found = cursor.fetchone()
            cursor.execute(
                "SELECT answer, label FROM annotations_in_force WHERE device_id = %s AND window_start = %s "
                "AND annotator = %s AND NOT adjudicates",
                (row.device_id, row.window_start, row.annotator),
            )
            if cursor.fetchone() == ("label", label):
                known += 1
                continue
            cursor.execute(
                "INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, label, "
                "origin, note) VALUES (%s, %s, %s, %s, %s, 'label', %s, 'import', %s)",
                (
                    found[0] if found else None,
                    row.device_id,
                    row.window_start,
                    row.window_end,
                    row.annotator,
                    label,
                    _note(row.note),
                ),
            )
            added += 1
            if found:
                _settle(cursor, found[0], minutes)
            else:
                unmatched += 1
    return ImportCount(added, known, unmatched)

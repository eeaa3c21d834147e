"""What waits for a reviewer, and how far annotators agree; the reviewer's place in the list."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace

import numpy as np

from activitymodule.errors import AlreadyDecidedError
from activitymodule.learning.agreement import (
    OverallAgreement,
    PairAgreement,
    agreement_by_group,
    agreements,
)
from activitymodule.learning.label_errors import suspicious_labels
from activitymodule.models.evaluation.slices import slicings_of
from activitymodule.store import items as store_items
from activitymodule.store import labels as store_labels
from activitymodule.store import review as store_review
from activitymodule.store.connection import Connection
from activitymodule.store.review import Case, Decision, Vote
from activitymodule.store.slices import groups_for
from annotation import context, items
from annotation.auth import User

_MOST_SUSPICIOUS = 50


@dataclass(frozen=True)
class Shown:
    """A case with what is shown of it.

    label, suggested : of a suspicious label, it and the model's prediction; decision : another reviewer's, in force
    """

    case: Case
    item: store_items.Item
    votes: tuple[Vote, ...]
    label: str | None = None
    suggested: str | None = None
    decision: Decision | None = None


def suspicions(connection: Connection, classifier: str) -> list[tuple[Case, str, str]]:
    """Labels that are probably wrong, the least plausible first: (case, label, the model's prediction).

    The probabilities are those the window was queued with, by a model that could not have learnt the label.
    """
    judged = store_labels.gold_predictions(connection, classifier)
    if judged is None or len(judged.label) < 2:
        return []
    with warnings.catch_warnings():
        # few examples of a class are expected here
        warnings.simplefilter("ignore", UserWarning)
        found = suspicious_labels(
            judged.probabilities, np.array(judged.label, object), judged.labels, most=_MOST_SUSPICIOUS
        )
    return [
        (
            Case(judged.item_id[one.row], "suspicious", judged.labelled_at[one.row]),
            one.label,
            one.suggested,
        )
        for one in found
    ]


def waiting(connection: Connection, classifier: str) -> list[Shown]:
    """Everything that waits for a reviewer: disputed and flagged windows, then suspicious labels."""
    cases = [(case, None, None) for case in store_review.cases(connection)]
    there = {case.item_id for case, _, _ in cases}
    doubtful = [one for one in suspicions(connection, classifier) if one[0].item_id not in there]
    return [
        Shown(
            case,
            store_items.get_item(connection, case.item_id),
            tuple(store_review.votes(connection, case.item_id)),
            label,
            suggested,
            store_review.decision(connection, case.item_id),
        )
        for case, label, suggested in [*cases, *doubtful]
    ]


def _again(connection: Connection, shown: Shown) -> Shown:
    """The case with the votes and the decision of now."""
    number = shown.item.item_id
    votes = tuple(store_review.votes(connection, number))
    return replace(shown, votes=votes, decision=store_review.decision(connection, number))


def kappas(connection: Connection) -> tuple[list[PairAgreement], list[tuple[str, str, OverallAgreement]]]:
    """How far each pair of annotators agrees; and all of them on the windows of each device model and age band."""
    given = store_labels.pairs_of_labels(connection)
    who, what, labels = ([one[place] for one in given] for place in range(3))
    devices = [window.split(" ", 1)[0] for window in what]
    slicings = slicings_of(groups_for(connection, devices), devices)
    return agreements(who, what, labels), agreement_by_group(who, what, labels, slicings)


class Desk:
    """The list of one reviewer's page, and the case that is open."""

    def __init__(self, who: User, labels: tuple[str, ...], cases: list[Shown]) -> None:
        self.who, self.labels, self.cases = who, labels, cases
        self.at = 0
        self.since = time.monotonic()
        self.busy = False
        self.letters = items.label_key(labels)

    @property
    def open(self) -> Shown | None:
        """The case that is open; None if none waits."""
        return self.cases[self.at] if self.cases else None

    def choose(self, place: int) -> None:
        """Open the case at a place of the list (modulo its length)."""
        if self.cases:
            self.at = place % len(self.cases)
            self.since = time.monotonic()

    def label_of(self, key: str) -> str | None:
        """The label that a key chooses: by its number up to 9, or by its letter."""
        for place, label in enumerate(self.labels):
            if key in (str(place + 1) if place < 9 else "", self.letters.get(label, "")):
                return label
        return None

    async def decide(self, label: str | None) -> bool:
        """Decide the open case: a label, or None if it cannot be determined. The case leaves the list.

        Raises AlreadyDecidedError where another reviewer was faster; their decision is shown from then on.
        """
        shown = self.open
        if shown is None or self.busy:
            return False
        self.busy = True
        try:
            seconds = time.monotonic() - self.since
            await context.run_write(
                lambda connection: store_review.adjudicate(
                    connection,
                    shown.item.item_id,
                    self.who.name,
                    label,
                    seen=shown.decision.number if shown.decision else None,
                    minutes=context.settings().queue.lease_minutes,
                    seconds=seconds,
                )
            )
        except AlreadyDecidedError:
            self.cases[self.at] = await context.run_read(lambda connection: _again(connection, shown))
            raise
        finally:
            self.busy = False
        self.cases = [one for one in self.cases if one.item.item_id != shown.item.item_id]
        self.at = min(self.at, max(0, len(self.cases) - 1))
        self.since = time.monotonic()
        return True

    async def undo(self) -> bool:
        """Undo the last decision; its case is open again. False if there is none."""
        config = context.settings()
        number = await context.run_write(
            lambda connection: store_review.undo_adjudication(
                connection, self.who.name, config.queue.lease_minutes
            )
        )
        if number is None:
            return False
        self.cases = await context.run_read(
            lambda connection: waiting(connection, config.registry.classifier)
        )
        self.at = next((k for k, one in enumerate(self.cases) if one.item.item_id == number), 0)
        return True

"""The closed loop in memory: recorded people of another watch, of whom some are asked, and what that teaches.

Policy, training set, challenger and gate are those that serve; simulated are the clock, the budget (so many labels are
given in rounds), the annotators (the truth, with a share of errors) and the stream (windows are made at once).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.learning import policy
from activitymodule.learning.asking import Asking, Passing
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.policy import Rules
from activitymodule.learning.strata import AUDIT, COLD, DOUBT
from activitymodule.learning.training_set import with_labels
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.training import ActivityFit, fit_activity
from activitymodule.settings import Settings, Windows
from activitymodule.telemetry.profiles import model_name
from activitymodule.windows.assembling import assemble, complete
from activitymodule.windows.features import features
from activitymodule.windows.panes import windows_of

ROUND = 20  # labels between two looks at what is known
POLICY, RANDOM = "policy", "random"
_SHARE = 0.9  # of a window that must be one activity, for its label to be known


def streamed(readings: pa.Table, windows: Windows) -> GoldWindows:
    """Windows as the stream makes and queues them, with their true activity; those that mix activities are left out.

    readings : canonical readings with `activity`, '' or null where it is not known, and perhaps `device_model`
    """
    paned = windows_of(readings, windows)
    batch = assemble(paned.window_start_us, paned.panes, windows)
    device = np.array(paned.device_id.to_pylist(), str)
    label = _labels(readings, device, paned.window_start_us, windows)
    rows = np.flatnonzero(
        complete(paned.window_start_us, batch.newest_us, batch.coverage, windows) & (label != "")
    )
    return GoldWindows(
        device_id=device[rows],
        window_us=paned.window_start_us[rows],
        label=label[rows],
        stratum=np.full(len(rows), "", "<U8"),
        propensity=np.ones(len(rows)),
        features=features(batch.take(rows), windows),
        device_model=_models(readings, device[rows]),
    )


def _models(readings: pa.Table, device: np.ndarray) -> np.ndarray:
    """The model of each watch as one of its readings names it, '' where none does: str (n,)."""
    if "device_model" not in readings.column_names:
        return np.full(len(device), "")
    pairs = readings.select(["device_id", "device_model"]).drop_null()
    named = dict(zip(*(pairs.column(name).to_pylist() for name in pairs.column_names), strict=True))
    return np.array([model_name(named.get(one)) or "" for one in device.tolist()], str)


def _labels(readings: pa.Table, device: np.ndarray, start_us: np.ndarray, windows: Windows) -> np.ndarray:
    """The activity of at least _SHARE of each window's slots, '' where there is none: str (n_windows,)."""
    least = _SHARE * windows.length_seconds * windows.rate_hz
    out = np.full(len(device), "", object)
    whose = np.array(readings.column("device_id").to_pylist(), str)
    stamps = readings.column("stamp").cast(pa.int64()).to_numpy()
    activity = np.array(pc.fill_null(readings.column("activity").cast(pa.string()), "").to_pylist(), str)
    for name in np.unique(device):
        own = np.flatnonzero(whose == name)
        own = own[np.argsort(stamps[own], kind="stable")]
        at, what = stamps[own], activity[own]
        for place in np.flatnonzero(device == name):
            first, last = np.searchsorted(
                at, (start_us[place], start_us[place] + windows.length_seconds * 1_000_000)
            )
            names, counts = np.unique(what[first:last], return_counts=True)
            if len(names) and counts.max() >= least:
                out[place] = names[counts.argmax()]
    return out.astype(str)


def labelled_in_turn(
    strategy: str,
    windows: GoldWindows,
    champion: ActivityFit,
    rules: Rules,
    labels: int,
    *,
    error_rate: float,
    seed: int,
) -> GoldWindows:
    """Some of the windows with labels, in the order in which they are given.

    Of every ROUND labels, `rules.audit_share` are of the audit share, the windows with the least draws. The others are
    selected by the policy, with the champion's doubt, or drawn at random (strategy).
    """
    n = len(windows)
    dice = np.random.default_rng([seed, strategy == RANDOM])
    drawn = [
        policy.audit_draw(device, int(us), rules.salt)
        for device, us in zip(windows.device_id, windows.window_us, strict=True)
    ]
    audit = np.argsort(drawn, kind="stable")[: round(labels * rules.audit_share)].tolist()
    standard = policy.limited(champion.standardised(windows.features))
    asking = Asking(Passing(windows.device_id.tolist(), windows.window_us, standard), rules, dice)
    probabilities = champion.probabilities(windows.features, windows.device_model)
    order: list[int] = []
    strata: list[str] = []
    taught: list[int] = []
    while len(order) < min(labels, n):
        count = min(ROUND, labels - len(order))
        judges = audit[: round(count * rules.audit_share)]
        audit = audit[len(judges) :]
        left = np.setdiff1d(np.arange(n), [*order, *judges, *audit])
        stratum = COLD if len(taught) < rules.cold_labels else DOUBT
        if strategy == RANDOM:
            chosen = [int(row) for row in dice.permutation(left)[: count - len(judges)]]
        else:
            judged = [row for row, one in zip(order, strata, strict=True) if one == AUDIT]
            chosen = asking.ask(
                left, count - len(judges), [*order, *judges], lambda rows: probabilities[rows],
                np.array(champion.labels), [*judged, *judges],
            )  # fmt: skip
        order += [*judges, *chosen]
        taught += chosen
        strata += [AUDIT] * len(judges) + [stratum] * len(chosen)
    rows = np.array(order, int)
    chance = [asking.chances.get(row, 1.0) for row in order]
    found = replace(windows.take(rows), stratum=np.array(strata), propensity=np.array(chance))
    return _with_errors(found, champion.labels, error_rate, dice)


def _with_errors(
    gold: GoldWindows, labels: Sequence[str], rate: float, dice: np.random.Generator
) -> GoldWindows:
    wrong = dice.random(len(gold)) < rate
    others = [dice.choice([one for one in labels if one != label]) for label in gold.label.tolist()]
    return replace(gold, label=np.where(wrong, np.array(others, str), gold.label))


@dataclass(frozen=True)
class Point:
    """A challenger after so many labels, on windows of people who were never asked.

    probabilities : (n_windows, n_labels), of `labels`; accuracy : share of correct predictions
    """

    given: int
    labels: tuple[str, ...]
    probabilities: np.ndarray
    accuracy: float


def point(given: int, fitted: ActivityFit, never: TrainingWindows) -> Point:
    """A model's answers for the windows of people who were never asked."""
    found = fitted.probabilities(never.features, never.device_model)
    right = np.array(fitted.labels)[found.argmax(1)] == never.activity
    return Point(given, fitted.labels, found, float(right.mean()))


def curve(
    base: TrainingWindows,
    gold: GoldWindows,
    never: TrainingWindows,
    stops: Sequence[int],
    config: Settings,
    *,
    seed: int = 0,
) -> list[Point]:
    """Challengers trained on the first so many of `gold`, which are in the order in which they were given, each as a
    retraining at that time would have trained it."""
    out = []
    for stop in stops:
        training = with_labels(base, gold.take(np.arange(min(stop, len(gold)))), config)
        out.append(
            point(stop, fit_activity(training.windows, config, seed=seed, weight=training.weights), never)
        )
    return out

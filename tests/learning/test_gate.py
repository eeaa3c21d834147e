"""The gate: equal models, better ones, and challengers with one fault each."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.learning import gate_simulation as simulation
from activitymodule.learning.gate import (
    Audit,
    Candidate,
    Verdict,
    adjusted_alpha,
    compare,
    examine,
    judge,
    macro_f1_interval,
    macro_f1_of,
    same_labels_note,
)
from activitymodule.learning.gate.bootstrap import change_over_people, effective_people
from activitymodule.learning.gate_simulation import CLARITY, LABELS, draw, passes
from activitymodule.models import export
from activitymodule.models.activity import TreesAndLinear, activity_pipeline, feature_names
from activitymodule.models.bundle import ModelBytes
from activitymodule.models.evaluation.scores import confusion, macro_f1
from activitymodule.models.evaluation.slices import Slicing
from activitymodule.models.export import Card
from activitymodule.settings import Learning, Windows
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION

LIMITS = Learning()


@cache
def a_better_pair(people: int = 40, labels: int = 800, gain: float = 0.15, seed: int = 3):
    """A pair of which the second is promoted: faults are added to it."""
    clear = (CLARITY, simulation.clarity_for(gain))
    trial = draw(people, labels, np.random.default_rng(seed), clarity=clear)
    assert judge(trial.champion, trial.challenger, trial.audit, LIMITS).promote
    return trial


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_each_verdict_on_the_same_labels_has_a_smaller_alpha():
    alphas = [adjusted_alpha(0.025, k) for k in range(1000)]
    assert alphas[:3] == [0.025, 0.025 / 4, 0.025 / 9]
    assert sum(alphas) < 0.0412
    trial = a_better_pair()
    lows = []
    for k in (0, 1, 9):
        verdict = judge(trial.champion, trial.challenger, trial.audit, LIMITS, verdicts_on_same_labels=k)
        better = next(check for check in verdict.checks if check.name == "better")
        assert verdict.figures.verdicts_on_same_labels == better.figures["verdicts_on_same_labels"] == k
        assert verdict.figures.alpha == better.figures["alpha"] == alphas[k]
        lows.append(verdict.figures.macro_f1.low)
        assert (same_labels_note(k) in better.message) == (k > 0)
    assert lows[0] > lows[1] > lows[2]


def test_a_poisoned_challenger_is_rejected():
    """Trained on labels of which many were swapped: it calls half the sitting standing."""
    trial = a_better_pair()
    bad = trial.challenger.probabilities.copy()
    sit, stand = LABELS.index("sitting"), LABELS.index("standing")
    rows = np.flatnonzero(bad.argmax(1) == sit)[::2]
    bad[np.ix_(rows, [sit, stand])] = bad[np.ix_(rows, [stand, sit])]
    verdict = judge(trial.champion, replace(trial.challenger, probabilities=bad), trial.audit, LIMITS)
    assert not verdict.promote
    assert "classes" in failed(verdict)
    assert any("sitting" in reason for reason in verdict.reasons())


def test_a_champion_that_calls_everything_by_one_name_does_not_hold_it():
    """Its recall of that activity cannot be reached; its F1 can."""
    trial = a_better_pair()
    lazy, careful = trial.champion.probabilities.copy(), trial.challenger.probabilities.copy()
    sit, stand = LABELS.index("sitting"), LABELS.index("standing")
    lazy[:, stand] += 0.8
    lazy /= lazy.sum(1, keepdims=True)
    rows = np.flatnonzero((trial.audit.label == "standing") & (careful.argmax(1) == stand))[::5]
    careful[np.ix_(rows, [sit, stand])] = careful[np.ix_(rows, [stand, sit])]
    verdict = judge(
        replace(trial.champion, probabilities=lazy),
        replace(trial.challenger, probabilities=careful),
        trial.audit,
        LIMITS,
    )
    standing = verdict.figures.per_label["standing"]
    assert standing.champion - standing.challenger > LIMITS.class_guard
    assert standing.challenger_f1 > standing.champion_f1
    assert passes(verdict, "classes")


def test_a_challenger_that_loses_an_activity_is_rejected():
    trial = a_better_pair()
    bad = trial.challenger.probabilities.copy()
    bad[:, LABELS.index("cycling")] = 0
    bad /= bad.sum(1, keepdims=True)
    # all else is better than it was
    verdict = judge(trial.champion, replace(trial.challenger, probabilities=bad), trial.audit, LIMITS)
    assert "classes" in failed(verdict)
    assert any("cycling altogether" in reason for reason in verdict.reasons())


def test_a_challenger_without_a_label_of_the_champion_is_rejected():
    trial = a_better_pair()
    keep = [k for k, label in enumerate(LABELS) if label != "cycling"]
    challenger = replace(
        trial.challenger,
        labels=tuple(LABELS[k] for k in keep),
        probabilities=trial.challenger.probabilities[:, keep],
    )
    verdict = judge(trial.champion, challenger, trial.audit, LIMITS)
    assert not verdict.promote
    assert "labels" in failed(verdict)
    assert any("no longer knows cycling" in reason for reason in verdict.reasons())


def test_an_over_confident_challenger_is_rejected_for_that_alone():
    trial = a_better_pair(gain=0.08, people=60, labels=1200)
    sharp = trial.challenger.probabilities**8
    challenger = replace(trial.challenger, probabilities=sharp / sharp.sum(1, keepdims=True))
    verdict = judge(trial.champion, challenger, trial.audit, LIMITS)
    assert failed(verdict) == {"calibration"}
    (message,) = verdict.reasons()
    assert message in verdict.summary


def test_a_challenger_that_harms_a_device_model_is_rejected():
    """All else is better: half of what it gets right on the watches of one model is turned into errors."""
    trial = a_better_pair()
    people = np.unique(trial.audit.person)

    def sliced(own: int) -> tuple[Audit, np.ndarray]:
        old = np.isin(trial.audit.person, people[:own])
        names = np.where(old, "empatica-e4", np.where(trial.audit.person == people[-1], "", "apple-watch"))
        return replace(trial.audit, slicings=(Slicing("device model", names),)), old

    audit, old = sliced(8)
    assert passes(judge(trial.champion, trial.challenger, audit, LIMITS), "slices")
    bad = trial.challenger.probabilities.copy()
    rows = np.flatnonzero(old & (bad.argmax(1) == [LABELS.index(one) for one in audit.label]))[::2]
    bad[rows] = np.roll(bad[rows], 1, axis=1)
    harmful = replace(trial.challenger, probabilities=bad)
    verdict = judge(trial.champion, harmful, audit, LIMITS)
    assert "slices" in failed(verdict)
    assert any("device model empatica-e4" in reason for reason in verdict.reasons())
    assert [one.name for one in verdict.figures.slices] == ["apple-watch", "empatica-e4", "unknown"]
    assert Verdict.model_validate(verdict.model_dump(mode="json")) == verdict
    # too few labels of it to tell; and nothing is guarded where no group is known
    assert passes(
        judge(trial.champion, harmful, audit, LIMITS.model_copy(update={"least_slice_labels": 700})), "slices"
    )
    assert passes(judge(trial.champion, harmful, trial.audit, LIMITS), "slices")
    # a model that one person wears is guarded by its windows
    one, _ = sliced(1)
    assert one.slicings[0].name.tolist().count("empatica-e4") >= LIMITS.least_slice_labels
    assert "slices" in failed(
        judge(trial.champion, harmful, one, LIMITS.model_copy(update={"slice_guard": 0.02}))
    )


def test_too_few_labels_or_people_decide_nothing():
    few = a_better_pair(labels=800)
    rows = np.arange(50)
    audit = Audit(
        few.audit.label[rows], few.audit.person[rows], few.audit.features[rows], few.audit.propensity[rows]
    )
    pair = [replace(c, probabilities=c.probabilities[rows]) for c in (few.champion, few.challenger)]
    assert "enough" in failed(judge(*pair, audit, LIMITS))
    one = replace(few.audit, person=np.full(len(few.audit), "watch-1"))
    verdict = judge(few.champion, few.challenger, one, LIMITS)
    assert failed(verdict) == {"enough"}
    nothing = Audit(
        np.empty(0, str), np.empty(0, str), np.empty((0, len(FEATURE_NAMES)), np.float32), np.empty(0)
    )
    blank = [replace(c, probabilities=c.probabilities[:0]) for c in (few.champion, few.challenger)]
    assert "enough" in failed(judge(*blank, nothing, LIMITS))


def test_too_slow_or_too_large():
    trial = a_better_pair()
    slow = replace(trial.challenger, windows_per_second=10.0)
    assert failed(judge(trial.champion, slow, trial.audit, LIMITS)) == {"speed"}
    large = replace(trial.challenger, too_large="version 2 has 80.0 MB, more than models.max_megabytes (50)")
    assert failed(judge(trial.champion, large, trial.audit, LIMITS)) == {"size"}


@cache
def a_model(seed: int = 0) -> tuple[bytes, Card]:
    """A small classifier on the motion features, as the bytes of its file, and its card."""
    names = feature_names()
    dice = np.random.default_rng(seed)
    X = dice.normal(size=(90, len(names))).astype(np.float32)
    y = np.arange(90) % 3
    X[:, :5] += y[:, None]
    pipeline = activity_pipeline(seed, rounds=5, least_windows_a_leaf=5)
    assert isinstance(pipeline["model"], TreesAndLinear)
    card = Card("activity", ("a", "b", "c"), names, FEATURES_VERSION, 10, 10, 0.1, 0.5)
    return export.dump(pipeline.fit(X, y)), card


FEATURES = np.random.default_rng(1).normal(size=(80, len(FEATURE_NAMES))).astype(np.float32)


def examined(content: bytes, card: Card, version: str = "2", megabytes: float = 50) -> Candidate:
    return examine(ModelBytes(content, card.to_json(), version), FEATURES, Windows(), max_megabytes=megabytes)


def judged(challenger: Candidate) -> Verdict:
    champion = examined(*a_model(), version="1")
    dice = np.random.default_rng(2)
    audit = Audit(
        np.array(["a", "b", "c"])[dice.integers(0, 3, 80)],
        np.array([f"w{k % 8}" for k in range(80)]),
        FEATURES,
        np.full(80, 0.1),
    )
    return judge(champion, challenger, audit, LIMITS)


def test_a_model_that_loads_is_timed_and_answers():
    found = examined(*a_model())
    assert found.refusal is None
    assert found.probabilities.shape == (80, 3)
    assert found.windows_per_second > 0
    assert found.megabytes == pytest.approx(len(a_model()[0]) / 1e6)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content, card: (content[:-200], card), "cannot be loaded"),
        (lambda content, card: (b"not a model", card), "cannot be loaded"),
        (
            lambda content, card: (content, replace(card, feature_names=(*card.feature_names[:-1], "mood"))),
            "features that this code does not compute, such as mood",
        ),
        (
            lambda content, card: (content, replace(card, feature_names=card.feature_names[:-3])),
            "does not answer a query",
        ),
        (lambda content, card: (content, replace(card, features_version="0")), "features of version 0"),
        (lambda content, card: (content, replace(card, labels=("a", "b"))), "3 probabilities for 2 labels"),
        (lambda content, card: (content, replace(card, length_seconds=5)), "windows of 5 s"),
    ],
    ids=["truncated", "no model", "unknown feature", "fewer features", "old features", "labels", "windows"],
)
def test_a_challenger_that_does_not_serve_is_rejected_with_its_reason(spoil, reason):
    verdict = judged(examined(*spoil(*a_model())))
    assert not verdict.promote
    assert failed(verdict) == {"loads"}
    assert reason in verdict.summary


def test_a_champion_that_does_not_load_is_reported():
    broken = examined(b"no", a_model()[1], version="1")
    trial = a_better_pair()
    verdict = judge(broken, trial.challenger, trial.audit, LIMITS)
    assert failed(verdict) == {"loads"}
    assert "champion itself does not load" in verdict.summary
    assert not verdict.promote


def test_a_large_model_is_rejected():
    found = examined(*a_model(), megabytes=0.001)
    assert "size" in failed(judged(found))


def test_f1_is_that_of_the_confusion():
    trial = draw(10, 200, np.random.default_rng(0))
    truth = np.searchsorted(np.array(LABELS), trial.audit.label)
    counts = confusion(trial.champion.probabilities.argmax(1), truth, len(LABELS))
    assert macro_f1_of(trial.champion, trial.audit) == pytest.approx(float(macro_f1(counts)))
    compared = compare(trial.champion, trial.challenger, trial.audit, LIMITS)
    assert compared.macro_f1.champion == pytest.approx(float(macro_f1(counts)))
    value, low, high = macro_f1_interval(trial.champion, trial.audit, 400)
    assert low < value < high
    assert value == pytest.approx(float(macro_f1(counts)))


def test_a_label_only_the_challenger_knows_counts_for_it():
    trial = draw(30, 600, np.random.default_rng(0))
    dancing = trial.audit.label == "stairs"
    audit = replace(trial.audit, label=np.where(dancing, "dancing", trial.audit.label))
    knows = tuple("dancing" if label == "stairs" else label for label in LABELS)
    order = np.argsort(knows)
    challenger = replace(
        trial.challenger,
        labels=(*(knows[i] for i in order), "stairs"),
        probabilities=np.c_[trial.challenger.probabilities[:, order], np.zeros(len(audit))],
    )
    verdict = judge(trial.champion, challenger, audit, LIMITS)
    assert verdict.figures.per_label["dancing"].champion == 0
    assert verdict.figures.per_label["dancing"].challenger > 0.3
    assert passes(verdict, "better")


def test_a_label_neither_knows_is_no_class_of_the_mean():
    trial = draw(20, 300, np.random.default_rng(0))
    audit = replace(trial.audit, label=np.where(trial.audit.label == "stairs", "dancing", trial.audit.label))
    compared = compare(trial.champion, trial.challenger, audit, LIMITS)
    assert compared.unknown_to_both == ("dancing",)
    assert "dancing" not in compared.per_label


def test_verdict_survives_json():
    trial = a_better_pair()
    verdict = judge(trial.champion, trial.challenger, trial.audit, LIMITS)
    again = Verdict.model_validate_json(verdict.model_dump_json())
    assert again == verdict
    assert again == Verdict.model_validate(json.loads(json.dumps(verdict.model_dump(mode="json"))))
    assert verdict == judge(trial.champion, trial.challenger, trial.audit, LIMITS), "same seed, same verdict"


def test_a_verdict_stored_by_version_0_1_is_read():
    stored = {
        "promote": False,
        "says": "version 2 is turned away: it no longer knows cycling",
        "champion": "1",
        "challenger": "2",
        "checks": [
            {
                "name": "labels",
                "passed": False,
                "says": "it no longer knows cycling",
                "figures": {"lost": ["cycling"]},
            }
        ],
        "figures": {"labels": 70, "people": 9, "judged_before": 3},
    }
    verdict = Verdict.model_validate(stored)
    assert verdict.reasons() == ("it no longer knows cycling",)
    assert verdict.figures.verdicts_on_same_labels == 3
    figures = {
        "champion": 0.7,
        "challenger": 0.8,
        "value": 0.1,
        "se": 0.02,
        "low": 0.05,
        "high": 0.15,
        "p": 0.01,
    }
    compared = {
        "effective_people": 8.5,
        "alpha": 0.025,
        "resamples": 2000,
        "macro_f1": {**figures, "percentile_low": 0.06},
        "ece": {**figures, "percentile_low": 0.06},
        "accuracy": {"champion": 0.7, "challenger": 0.8},
        "per_label": {},
        "unknown_to_both": ["dancing"],
    }
    again = Verdict.model_validate({**stored, "figures": {**stored["figures"], **compared}})
    assert again.figures.macro_f1.low == 0.05


def test_windows_drawn_at_a_lower_rate_weigh_more_up_to_a_cap():
    audit = Audit(np.array(["a"] * 4), np.array(["w"] * 4), FEATURES[:4], np.array([0.2, 0.2, 0.1, 0.0001]))
    weight = audit.weights()
    assert weight.mean() == pytest.approx(1)
    assert weight[2] == pytest.approx(2 * weight[0])
    assert weight[3] / np.median(1 / audit.propensity) <= 5 * weight[0]


@given(st.lists(st.floats(-1, 1), min_size=30, max_size=60), st.floats(2, 50))
@hypothesis_settings(max_examples=50, deadline=None)
def test_bounds_are_never_tighter_than_the_percentiles(drawn, people):
    drawn = np.array(drawn)
    found = change_over_people(float(drawn.mean()), drawn, people, 0.025)
    assert found.low <= np.quantile(drawn, 0.025)
    assert found.high >= np.quantile(drawn, 0.975)
    assert 0 < found.p <= 1


def test_effective_people():
    assert effective_people(np.ones(7)) == pytest.approx(7)
    assert effective_people(np.array([100.0, 1, 1])) < 1.1


def test_every_check_has_a_message():
    trial = a_better_pair()
    verdict = judge(trial.champion, trial.challenger, trial.audit, LIMITS)
    assert [check.name for check in verdict.checks] == [
        "loads", "labels", "size", "speed", "enough", "better", "classes", "calibration", "slices",
    ]  # fmt: skip
    assert all(check.message for check in verdict.checks)
    assert passes(verdict, "better")

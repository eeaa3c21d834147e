"""The closed loop on recorded people of another watch, over many splits of them: labels, and what they teach.

    python benchmarks/people_loop.py --train wisdm:PATH --people weda:PATH --folder FOLDER --splits 10
    python benchmarks/people_loop.py --folder FOLDER --document docs/retraining.md --figure docs/figures/people-loop.svg

Of the people, half stream and are asked (100 labels, a fifth of them of the audit share), by the queue's policy and,
for comparison, at random; the others never. Policy, training set, training, calibration and gate are those that serve.
Simulated are the stream (windows are made at once), the clock and the budget (labels come in rounds of 20) and the
annotator (the truth, 2 % wrong); of the champion's training, whose windows resemble each other, only --windows are
kept. What is not in FOLDER yet is computed, so a run that was ended goes on. JSON on stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from summaries import Json, write_between

from activitymodule.learning import loop_simulation as simulation
from activitymodule.learning.challenger import train_challenger
from activitymodule.learning.gate import Audit, Candidate, ComparedFigures, judge
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.policy import Rules
from activitymodule.learning.training_set import only_known, with_labels
from activitymodule.models.calibration import conformal_sets
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.evaluation.slices import DEVICE_MODEL, Slicing
from activitymodule.models.recalibration import powered
from activitymodule.models.training import ActivityFit, fit_activity
from activitymodule.settings import Settings, load
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.closed_loop_figure import draw_curves
from activitymodule.workflows.training_data import load_readings, load_windows

MARKS = ("<!-- people loop: made by benchmarks/people_loop.py -->", "<!-- end of people loop -->")
STOPS = (40, 70, 100)
ERROR_RATE = 0.02
AUDIT_SIZES = ((5, 60), (8, 100), (12, 150), (20, 200), (40, 400))
TRIALS = 60
HONESTY = ("accuracy", "confidence", "coverage", "set_size")


class Study:
    """Champion and people, made once. people : names; never : all their windows, as `activity train` makes them"""

    def __init__(self, train_on: str, people: str, windows: int, share: float = 0.5) -> None:
        config = load({})
        slide = config.windows.model_copy(update={"slide_seconds": 2})
        learning = config.learning.model_copy(update={"bootstrap": 1000})
        self.config: Settings = config.model_copy(update={"windows": slide, "learning": learning})
        (base,) = load_windows(train_on, self.config, augmented=True)
        self.base = _thinned(only_known(base), windows)
        (every,) = load_windows(people, self.config)
        self.every = only_known(every)
        self.names = sorted(set(self.every.person.tolist()))
        readings = load_readings(people, self.config, self.names)
        self.whose = dict(
            zip(*(readings.column(name).to_pylist() for name in ("device_id", "person")), strict=True)
        )
        self.streamed = simulation.streamed(readings, self.config.windows)
        self.share = share

    @cached_property
    def champion(self) -> ActivityFit:
        """Made when it is first asked for."""
        return fit_activity(self.base, self.config)

    def split(self, seed: int) -> tuple[GoldWindows, TrainingWindows]:
        """The streamed windows of those who are asked, and the windows of those who never are."""
        mixed = np.random.default_rng(seed).permutation(self.names)
        asked = mixed[: max(2, round(len(mixed) * self.share))]
        never = self.every.take(np.flatnonzero(~np.isin(self.every.person, asked)))
        own = np.isin([self.whose[device] for device in self.streamed.device_id.tolist()], asked)
        return self.streamed.take(own), never


def _thinned(base: TrainingWindows, most: int) -> TrainingWindows:
    """Every second recorded window, and so many copies that there are `most`; all where that is more."""
    original, copied = np.flatnonzero(~base.copied), np.flatnonzero(base.copied)
    if most >= len(base):
        return base
    kept = original[::2]
    copies = np.random.default_rng(0).permutation(copied)[: max(most - len(kept), 0)]
    return base.take(np.sort(np.concatenate([kept, copies])))


def of_split(study: Study, seed: int, folder: Path) -> Json:
    """Both curves of one split, the calibration of the policy's last challenger, and its answers (in FOLDER)."""
    config, (asked, never) = study.config, study.split(seed)
    rules = replace(Rules.of(config, f"people-{seed}"), cooldown_us=2_000_000)
    first = simulation.point(0, study.champion, never)
    found: Json = {
        "seed": seed,
        "asked_people": len(set(asked.device_id.tolist())),
        "asked_windows": len(asked),
        "never_people": len(set(never.person.tolist())),
        "never_windows": len(never),
    }
    for strategy in (simulation.POLICY, simulation.RANDOM):
        gold = simulation.labelled_in_turn(
            strategy, asked, study.champion, rules, STOPS[-1], error_rate=ERROR_RATE, seed=seed
        )
        points = [first, *simulation.curve(study.base, gold, never, STOPS[:-1], config)]
        training = with_labels(study.base, gold, config)
        if strategy == simulation.POLICY:
            trained = train_challenger(training, config)
            assert trained.pipeline is not None
            fitted = ActivityFit(trained.pipeline, trained.card.labels, trained.card.feature_names)
        else:
            fitted = fit_activity(training.windows, config, weight=training.weights)
        points.append(simulation.point(STOPS[-1], fitted, never))
        found[strategy] = [[one.given, one.accuracy] for one in points]
        found[f"{strategy}_taught"] = training.labels
        if strategy == simulation.POLICY:
            place = {label: k for k, label in enumerate(fitted.labels)}
            truth = np.array([place[label] for label in never.activity.tolist()])
            card, p = trained.card, points[-1].probabilities
            calibration = card.calibrations.get(str(never.device_model[0]))
            found["alone"] = _honesty(p, truth, float(card.conformal_quantile or 1))
            if calibration is not None:
                found["calibrated"] = _honesty(powered(p, calibration.power), truth, calibration.quantile)
            np.savez_compressed(
                folder / f"answers-{seed}.npz",
                champion=first.probabilities, challenger=p, champion_labels=first.labels,
                challenger_labels=fitted.labels, truth=never.activity, person=never.person,
            )  # fmt: skip
    return found


def _honesty(p: np.ndarray, truth: np.ndarray, quantile: float) -> Json:
    sets = conformal_sets(p, quantile)
    return {
        "accuracy": float((p.argmax(1) == truth).mean()),
        "confidence": float(p.max(1).mean()),
        "coverage": float(sets[np.arange(len(truth)), truth].mean()),
        "set_size": float(sets.sum(1).mean()),
    }


def gate_rates(folder: Path, seeds: list[int], trials: int) -> list[Json]:
    """How often the gate promotes these challengers, by audit labels and people: people who were never asked are drawn
    with replacement, and so are their windows."""
    pool = []
    for seed in seeds:
        answers = np.load(folder / f"answers-{seed}.npz")
        pool += [(answers, np.flatnonzero(answers["person"] == who)) for who in np.unique(answers["person"])]
    limits, rows = load({}).learning.model_copy(update={"bootstrap": 400}), []
    for people, labels in AUDIT_SIZES:
        promoted = []
        for trial in range(trials):
            dice = np.random.default_rng([people, labels, trial])
            drawn = [pool[k] for k in dice.integers(len(pool), size=people)]
            share = dice.multinomial(labels - people, np.full(people, 1 / people)) + 1
            rows_of = [dice.choice(own, n) for (_, own), n in zip(drawn, share, strict=True)]
            parts = [(one, some) for (one, _), some in zip(drawn, rows_of, strict=True)]
            promoted.append(_verdict(parts, limits).promote)
        rate = float(np.mean(promoted))
        rows.append({"people": people, "labels": labels, "promoted": rate})
    return rows


def _verdict(parts, limits):  # type: ignore[no-untyped-def]
    def side(name: str) -> Candidate:
        p = np.concatenate([one[name][rows] for one, rows in parts]).astype(float)
        return Candidate(name, tuple(parts[0][0][f"{name}_labels"].tolist()), p, 1.0, 1e4)

    label = np.concatenate([one["truth"][rows] for one, rows in parts])
    audit = Audit(
        label=label,
        person=np.concatenate([np.full(len(rows), f"person-{k}") for k, (_, rows) in enumerate(parts)]),
        features=np.zeros((len(label), len(FEATURE_NAMES)), np.float32),
        propensity=np.ones(len(label)),
    )
    return judge(side("champion"), side("challenger"), audit, limits)


def guarded(study: Study, weight: float) -> Json:
    """A challenger that learnt the new watch at the cost of the old one: the verdict on labels of both watches.

    All windows of those who are asked teach, at `weight` times the usual weight. A quarter of the training's people
    judge in the place of the old watch's, by every third of their windows, and those who are never asked by the windows
    that stream, so that most of the audit labels are of the new watch.
    """
    config, (asked, _) = study.config, study.split(0)
    never = study.streamed.take(~np.isin(study.streamed.device_id, np.unique(asked.device_id)))
    people = np.random.default_rng(0).permutation(np.unique(study.base.person))
    judges = people[: len(people) // 4]
    base = study.base.take(np.flatnonzero(~np.isin(study.base.person, judges)))
    old = study.base.originals()
    old = old.take(np.flatnonzero(np.isin(old.person, judges))[::3])
    heavy = config.learning.model_copy(update={"label_weight": weight})
    greedy = config.model_copy(update={"learning": heavy})
    training = with_labels(base, replace(asked, stratum=np.full(len(asked), "doubt")), greedy)
    sides = []
    features = np.concatenate([old.features, never.features])
    models = np.concatenate([old.device_model, never.device_model])
    for name, fitted in (
        ("champion", fit_activity(base, config)),
        ("challenger", fit_activity(training.windows, greedy, weight=training.weights)),
    ):
        found = fitted.probabilities(features, models).astype(float)
        sides.append(Candidate(name, fitted.labels, found, 1.0, 1e4))
    watch = np.array(["the old watch"] * len(old) + [str(never.device_model[0])] * len(never))
    audit = Audit(
        label=np.concatenate([old.activity, never.label]),
        person=np.concatenate([old.person, never.person]),
        features=features,
        propensity=np.ones(len(watch)),
        slicings=(Slicing(DEVICE_MODEL, watch),),
    )
    champion, challenger = sides
    verdict = judge(champion, challenger, audit, config.learning)
    assert isinstance(verdict.figures, ComparedFigures)
    return {
        "promote": verdict.promote,
        "failed": {check.name: check.message for check in verdict.checks if not check.passed},
        "macro_f1": verdict.figures.macro_f1.model_dump(),
        "slices": [one.model_dump() for one in verdict.figures.slices],
        "weight": weight,
    }


def document(figures: Json) -> str:
    """The figures as Markdown."""
    splits = figures["splits"]
    one = splits[0]
    lines = [
        f"Champion trained on {figures['train']}, people of {figures['people']}; {len(splits)} random splits: "
        f"{one['asked_people']} people with {_range(splits, 'asked_windows')} overlapping windows are asked, "
        f"{one['never_people']} with {_range(splits, 'never_windows')} windows never. Means ± standard error.",
        "",
        "| labels | audit labels among them | policy | random | policy - random, by split |",
        "|---|---|---|---|---|",
    ]
    for k, stop in enumerate((0, *STOPS)):
        policy, chance = (np.array([split[name][k][1] for split in splits]) for name in ("policy", "random"))
        audit = round(stop * figures["audit_share"])
        lines.append(
            f"| {stop} | {audit} | {_mean(policy)} | {_mean(chance)} | {_mean(policy - chance, '+')} |"
        )
    lines += [
        "",
        "| after the last label, policy | accuracy | confidence | coverage | activities in a set |",
        "|---|---|---|---|---|",
    ]
    for name, text in (("alone", "the model alone"), ("calibrated", "calibrated on people held out")):
        own = [split[name] for split in splits if name in split]
        if own:
            cells = (_mean(np.array([row[key] for row in own])) for key in HONESTY)
            lines.append(f"| {text} ({len(own)} splits) | {' | '.join(cells)} |")
    lines += ["", "| people | audit labels | promoted |", "|---|---|---|"]
    lines += [f"| {row['people']} | {row['labels']} | {row['promoted']:.0%} |" for row in figures["gate"]]
    if guard := figures.get("guard"):
        of = "; ".join(
            f"{row['name']}: accuracy {row['champion']:.2f} to {row['challenger']:.2f} on {row['windows']} labels"
            for row in guard["slices"]
        )
        failed = "; ".join(f"*{name}*: {message}" for name, message in guard["failed"].items())
        said = "promoted" if guard["promote"] else f"rejected, by {failed}"
        gain = guard["macro_f1"]
        lines += [
            "",
            f"Labels of the new watch at {guard['weight']:g} times their weight, most audit labels of the new watch: "
            f"{of}; macro-F1 over both {gain['champion']:.3f} to {gain['challenger']:.3f}, lower bound of the change "
            f"{gain['low']:+.3f}. The challenger is {said}.",
        ]
    return "\n".join([*lines, ""])


def _range(splits: list[Json], name: str) -> str:
    values = [split[name] for split in splits]
    return f"{min(values)} to {max(values)}"


def _mean(values: np.ndarray, sign: str = "") -> str:
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{values.mean():{sign}.3f} ± {error:.3f}"


def _curves(splits: list[Json]) -> dict[str, list[tuple[float, float, float]]]:
    out = {}
    for name in ("policy", "random"):
        values = np.array([[point[1] for point in split[name]] for split in splits])
        error = values.std(0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.zeros(len(values[0]))
        out[name] = list(zip((0.0, *map(float, STOPS)), values.mean(0).tolist(), error.tolist(), strict=True))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", help="what the champion learns from, as `activity train --data`")
    parser.add_argument("--people", help="recorded people of another watch, in the same form")
    parser.add_argument("--folder", type=Path, required=True, help="where every split is kept")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="seed of the first split")
    parser.add_argument("--share", type=float, default=0.5, help="of the people who are asked")
    parser.add_argument(
        "--windows", type=int, default=6000, help="of the training; those of all people are thinned"
    )
    parser.add_argument(
        "--guard", type=float, help="also try a challenger whose labels weigh so many times as much"
    )
    parser.add_argument("--document", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    seeds = [given.first + k for k in range(given.splits)]
    if given.train:
        study = Study(given.train, given.people, given.windows, given.share)
        about = {"train": given.train.rpartition("/")[2], "people": given.people.rpartition("/")[2]}
        (given.folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
        for seed in seeds:
            place = given.folder / f"split-{seed}.json"
            if not place.is_file():
                place.write_text(json.dumps(of_split(study, seed, given.folder)), encoding="utf-8")
                print(place.read_text(encoding="utf-8"), file=sys.stderr, flush=True)
        if given.guard:
            (given.folder / "guard.json").write_text(
                json.dumps(guarded(study, given.guard)), encoding="utf-8"
            )
    about = json.loads((given.folder / "about.json").read_text(encoding="utf-8"))
    made = [seed for seed in seeds if (given.folder / f"split-{seed}.json").is_file()]
    splits = [json.loads((given.folder / f"split-{seed}.json").read_text(encoding="utf-8")) for seed in made]
    figures: Json = {**about, "audit_share": load({}).queue.audit_share, "splits": splits}
    figures["gate"] = gate_rates(given.folder, made, TRIALS)
    if (guard := given.folder / "guard.json").is_file():
        figures["guard"] = json.loads(guard.read_text(encoding="utf-8"))
    if given.document:
        write_between(given.document, MARKS, document(figures))
    if given.figure:
        draw_curves(
            _curves(splits),
            f"{about['people']}, {len(splits)} splits of people, standard errors",
            given.figure,
        )
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

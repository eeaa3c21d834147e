"""Compares strategies of selecting windows to label: `python benchmarks/active_learning.py [--data FOLDER] [--write]`.

Simulates annotators who always give the true label on two public data sets: minutes of 49 people (aw_fb_data.csv) and
windows of 40 people (wisdm_watch.tar.gz), a third of the people held out. Strategies: the queue's policy
(learning/policy and learning/doubt), random, confidence below .6, least confidence, and an oracle that selects evenly
over true activities and watches. All train the same learner. Prints JSON; --write makes docs/active-learning.* as well.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from active_learning_page import write
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from summaries import Json

from activitymodule import settings
from activitymodule.learning.asking import Asking, Passing
from activitymodule.learning.policy import Rules
from activitymodule.models.activity import feature_names
from activitymodule.models.evaluation.scores import macro_f1, truth_by_predicted
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.training_data import load_windows

ROOT = Path(__file__).resolve().parent.parent
ROUND = 20  # labels between two trainings
DRAWS = 3  # runs of a random strategy on each split, averaged
STOPS = (40, 60, 100, 140, 200, 300, 400)
POLICY, RANDOM, THRESHOLD, LEAST = "policy", "random", "threshold 0.6", "least confidence"
ORACLE = "oracle"  # selects evenly over true activities and watches, which no policy knows
STRATEGIES = (POLICY, RANDOM, THRESHOLD, LEAST, ORACLE)


@dataclass(frozen=True)
class Data:
    """Windows of one data set, in the order of person and time.

    X : (n, n_features); activity, person, watch : str (n,); at_us : int64 (n,), within the watch's recording
    run : int (n,), unbroken stretches of one activity; cooldown_us : of the policy
    """

    name: str
    X: np.ndarray
    activity: np.ndarray
    person: np.ndarray
    watch: np.ndarray
    at_us: np.ndarray
    run: np.ndarray
    window_us: int
    cooldown_us: int
    learner: Callable[[int], Any]


def minutes(folder: Path) -> Data:
    """Minutes of 49 people on a treadmill, each with two watches (Fuller et al. 2020)."""
    with (folder / "aw_fb_data.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    who = [tuple(row[name] for name in ("age", "gender", "height", "weight")) for row in rows]
    number = {one: k for k, one in enumerate(dict.fromkeys(who))}
    person = np.array([f"person-{number[one]:02d}" for one in who])
    watch = np.array([f"{p}-{row['device']}" for p, row in zip(person, rows, strict=True)])
    words = "steps heart_rate calories distance entropy_heart entropy_setps resting_heart corr_heart_steps norm_heart"
    names = [*words.split(), "intensity_karvonen", "sd_norm_heart", "steps_times_distance"]
    X = np.array([[float(row[name]) for name in names] for row in rows])
    never_negative = X.min(0) >= 0
    X[:, never_negative] = np.log1p(X[:, never_negative])
    X = np.column_stack([X, [row["device"] == "fitbit" for row in rows]])
    activity = np.array([row["activity"] for row in rows])
    changes = (watch[1:] != watch[:-1]) | (activity[1:] != activity[:-1])
    return Data(
        "minutes",
        X,
        activity,
        person,
        watch,
        _places(watch) * 60_000_000,
        np.concatenate([[0], np.cumsum(changes)]),
        60_000_000,
        8 * 60_000_000,
        lambda seed: RandomForestClassifier(100, max_features=0.4, random_state=seed),
    )


def wisdm(folder: Path) -> Data:
    """10 s windows of 40 people, two minutes of each of six activities (Weiss et al. 2019)."""

    (found,) = load_windows(f"wisdm:{folder / 'wisdm_watch.tar.gz'}", settings.load({}))
    own = [FEATURE_NAMES.index(name) for name in feature_names()]
    person = found.person.astype(str)
    # the archive does not say what lies between two activities: a minute, here
    gap = np.concatenate([[0], np.cumsum((found.run[1:] != found.run[:-1]) & (person[1:] == person[:-1]))])
    return Data(
        "windows",
        np.nan_to_num(found.features[:, own].astype(float)),
        found.activity.astype(str),
        person,
        person,
        _places(person) * 10_000_000 + gap * 60_000_000,
        found.run,
        10_000_000,
        # each activity lasts two minutes: 8 would leave one window of each, one no more than 320 in all
        20_000_000,
        lambda seed: LogisticRegression(C=0.03, max_iter=300),
    )


def _places(watch: np.ndarray) -> np.ndarray:
    """How many windows of its watch stand before each."""
    seen: Counter[str] = Counter()
    found = np.empty(len(watch), np.int64)
    for k, name in enumerate(watch.tolist()):
        found[k] = seen[name]
        seen[name] += 1
    return found


def _macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(macro_f1(truth_by_predicted(truth, predicted).counts))


class Simulation:
    """One strategy on one split: asks ROUND windows at a time, trains on all answers, is judged on other people."""

    def __init__(self, data: Data, strategy: str, seed: int, cold_labels: int, draw: int = 0) -> None:
        self.data, self.strategy, self.seed = data, strategy, seed
        self.random = np.random.default_rng([seed, STRATEGIES.index(strategy), draw])
        people = np.unique(data.person)
        held = np.random.default_rng(seed).permutation(people)[: len(people) // 3]
        self.test = np.isin(data.person, held)
        pool = np.flatnonzero(~self.test)
        centre, scale = data.X[pool].mean(0), data.X[pool].std(0)
        # where people are held out, nothing of them is known, not even their mean
        self.Z = np.clip((data.X - centre) / np.where(scale > 1e-9, scale, 1), -3, 3)
        self.left = np.ones(len(data.X), bool)
        self.left[self.test] = False
        self.labelled: list[int] = []
        self.classes = np.unique(data.activity)
        self._model: tuple[int, Any] = (0, None)
        self.cursor = 0
        self.in_time = np.lexsort((data.watch, data.at_us))
        self.rules = Rules(
            items_per_hour=60,
            burst=ROUND,
            cooldown_us=data.cooldown_us,
            cold_labels=cold_labels,
            audit_share=0.2,
            overlap_share=0,
            measure="margin",
            window_us=data.window_us,
            salt=f"{seed}/{draw}",
        )
        passing = Passing(data.watch.tolist(), data.at_us, self.Z)
        self.asking = Asking(passing, self.rules, self.random)

    @property
    def model(self) -> Any:
        """What was learnt of the labels so far, None without any; learnt when somebody looks."""
        if self._model[0] != len(self.labelled):
            learner = self.data.learner(self.seed)
            learner.fit(self.Z[self.labelled], self.data.activity[self.labelled])
            self._model = (len(self.labelled), learner)
        return self._model[1]

    def probabilities(self, rows: np.ndarray) -> np.ndarray:
        if self.model is None:
            return np.full((len(rows), len(self.classes)), 1 / len(self.classes))
        found = np.zeros((len(rows), len(self.classes)))
        found[:, np.searchsorted(self.classes, self.model.classes_)] = self.model.predict_proba(self.Z[rows])
        return found

    def ask(self, count: int) -> list[int]:
        rows = np.flatnonzero(self.left)
        if self.strategy == ORACLE:
            return self._evenly(self.random.permutation(rows), count)
        if self.strategy == RANDOM or (not self.labelled and self.strategy != POLICY):
            return list(self.random.permutation(rows)[:count])
        if self.strategy == LEAST:
            return list(rows[np.argsort(self.probabilities(rows).max(1), kind="stable")[:count]])
        if self.strategy == THRESHOLD:
            return self._below_threshold(count)
        return self.asking.ask(rows, count, self.labelled, self.probabilities, self.classes)

    def _evenly(self, rows: np.ndarray, count: int) -> list[int]:
        """Of the true activities that had the fewest labels, those of the watches that had the fewest of it; among
        these the next at random."""
        activity, watch = self.data.activity.tolist(), self.data.watch.tolist()
        cells = list(zip(watch, activity, strict=True))
        had = Counter([activity[row] for row in self.labelled] + [cells[row] for row in self.labelled])
        taken: list[int] = []
        left = rows.tolist()
        for _ in range(count):
            place = min(range(len(left)), key=lambda k: (had[activity[left[k]]], had[cells[left[k]]]))
            taken.append(left.pop(place))
            had.update([activity[taken[-1]], cells[taken[-1]]])
        return taken

    def _below_threshold(self, count: int) -> list[int]:
        """As they come, all watches side by side: the next windows below .6; round and round the recordings."""
        order = np.roll(self.in_time, -self.cursor)
        order = order[self.left[order]]
        unsure = np.flatnonzero(self.probabilities(order).max(1) < 0.6)[:count]
        if len(unsure) < count:  # the model is sure of everything else: as they come
            unsure = np.concatenate([unsure, np.setdiff1d(np.arange(len(order)), unsure)])[:count]
        taken = order[unsure]
        self.cursor = int(np.flatnonzero(self.in_time == taken[-1])[0]) + 1
        return list(taken)

    def run(self) -> dict[int, dict[str, float]]:
        """Labels spent -> figures."""
        found = {}
        while len(self.labelled) < max(STOPS):
            rows = [int(row) for row in self.ask(ROUND)]
            self.labelled += rows
            self.left[rows] = False
            if len(self.labelled) in STOPS:
                predicted = self.model.predict(self.Z[self.test])
                found[len(self.labelled)] = {
                    "macro_f1": _macro_f1(self.data.activity[self.test], predicted),
                    "near_duplicates": near_duplicates(self.data, self.Z, self.labelled),
                    "people": len(set(self.data.person[self.labelled]))
                    / len(set(self.data.person[~self.test])),
                }
        return found


def near_duplicates(data: Data, Z: np.ndarray, labelled: list[int]) -> float:
    """Share of labels that repeat an earlier one: the same watch and activity, and no further from it than one
    window is from the next (the median step between neighbours of a run, root mean square of standard scores)."""
    same_run = data.run[1:] == data.run[:-1]
    steps = np.sqrt(((Z[1:] - Z[:-1])[same_run] ** 2).mean(1))
    bar = float(np.median(steps))
    again = 0
    for place, row in enumerate(labelled):
        before = np.array(labelled[:place], int)
        before = before[
            (data.watch[before] == data.watch[row]) & (data.activity[before] == data.activity[row])
        ]
        if len(before) and np.sqrt(((Z[before] - Z[row]) ** 2).mean(1)).min() <= bar:
            again += 1
    return again / max(len(labelled), 1)


def _mean_run(data: Data, strategy: str, seed: int, cold_labels: int) -> dict[int, dict[str, float]]:
    """One split; random strategies are the mean of several runs."""
    draws = DRAWS if strategy in (POLICY, RANDOM, ORACLE) else 1
    runs = [Simulation(data, strategy, seed, cold_labels, draw).run() for draw in range(draws)]
    return {
        stop: {figure: float(np.mean([run[stop][figure] for run in runs])) for figure in runs[0][stop]}
        for stop in STOPS
    }


def _lead(
    ours: list[dict[int, dict[str, float]]], others: list[dict[int, dict[str, float]]]
) -> dict[str, dict[str, float]]:
    """Labels spent -> by how much the macro-F1 is greater, split by split."""
    found = {}
    for stop in STOPS:
        lead = np.array(
            [one[stop]["macro_f1"] - other[stop]["macro_f1"] for one, other in zip(ours, others, strict=True)]
        )
        found[str(stop)] = {
            "mean": float(lead.mean()),
            "standard_error": float(lead.std(ddof=1) / np.sqrt(len(lead))) if len(lead) > 1 else 0.0,
        }
    return found


def simulate(data: Data, seeds: list[int], cold_labels: int) -> Json:
    """Every strategy on every split; figures with their spread, and the policy's lead over random, split by split."""
    runs = {name: [_mean_run(data, name, seed, cold_labels) for seed in seeds] for name in STRATEGIES}
    curves = {
        name: {
            str(stop): {
                figure: {
                    "mean": float(np.mean([one[stop][figure] for one in found])),
                    "sd": float(np.std([one[stop][figure] for one in found], ddof=1))
                    if len(found) > 1
                    else 0.0,
                }
                for figure in ("macro_f1", "near_duplicates", "people")
            }
            for stop in STOPS
        }
        for name, found in runs.items()
    }
    leads = {name: _lead(runs[name], runs[RANDOM]) for name in (POLICY, ORACLE)}
    everything = []
    for seed in seeds:
        full = Simulation(data, RANDOM, seed, cold_labels)
        rows = np.flatnonzero(full.left)
        model = data.learner(seed).fit(full.Z[rows], data.activity[rows])
        everything.append(_macro_f1(data.activity[full.test], model.predict(full.Z[full.test])))
    return {
        "windows": len(data.X),
        "people": len(np.unique(data.person)),
        "all_labels_macro_f1": float(np.mean(everything)),
        "curves": curves,
        "lead_over_random": leads,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the recordings; by default that of ACTIVITYDATA")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--only", choices=("minutes", "windows"))
    parser.add_argument(
        "--write", action="store_true", help="write the page's table, its figures and the picture"
    )
    arguments = parser.parse_args()
    folder = arguments.data or Path(os.environ.get("ACTIVITYDATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        sys.exit(f"there are no recordings at {folder}; give --data or set ACTIVITYDATA")
    began = time.monotonic()
    seeds = list(range(arguments.first_seed, arguments.first_seed + arguments.seeds))
    cold_labels = settings.load({}).queue.cold_labels
    figures: Json = {"seeds": seeds, "round": ROUND, "cold_labels": cold_labels, "data": {}}
    for name, load in (("minutes", minutes), ("windows", wisdm)):
        if arguments.only in (None, name):
            figures["data"][name] = simulate(load(folder), seeds, cold_labels)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    if arguments.write:
        write(figures)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

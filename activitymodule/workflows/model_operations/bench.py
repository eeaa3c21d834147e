"""A benchmark of the engines that can score with a version: latency, windows/s, memory, accuracy on held-out people.

Each engine scores in a process of its own, with classifier and regressor as the scorer loads them; the engines take
turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelNotConvertibleError, NotEnoughDataError
from activitymodule.models.bundle import ModelBytes, load_model
from activitymodule.models.contract import probabilities_of
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.evaluation.held_out import person_folds
from activitymodule.models.evaluation.scores import accuracy, confusion, macro_f1
from activitymodule.models.export import CARD_FILE, LINEAGE_FILE, MODEL_FILE, Card
from activitymodule.models.familiarity import FAMILIARITY_FILE
from activitymodule.models.onnx.graph import needed, to_onnx
from activitymodule.models.onnx.parity import INT8, ONNX, parity
from activitymodule.models.onnx.quantising import quantised
from activitymodule.models.onnx.session import OnnxModel
from activitymodule.models.training import fit_activity
from activitymodule.registry.versions import ModelVersion, fetch
from activitymodule.serving.checking import checked
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings
from activitymodule.windows.frame import in_known_frame
from activitymodule.workflows.model_operations.bench_process import SKLEARN
from activitymodule.workflows.model_operations.exporting import inputs_of
from activitymodule.workflows.requests import BenchRequest
from activitymodule.workflows.training_data import load_windows, public_name

ENGINES = (SKLEARN, ONNX, INT8)
_CALLS, _WINDOWS_A_RUN = 40, 4096  # of one batch size in a run: calls at the most, windows at the least
_FOLDS = 3  # of people, each held out once, where the data is that of the training

Say = Callable[[str], None]
_Json = dict[str, Any]  # of bench_process
_Rounds = dict[int, list[_Json]]  # by batch size


@dataclass(frozen=True)
class Speed:
    """Of one batch size. p50, p95, p99 : milliseconds a call; windows_per_second : of one core, by processor time;
    spread : least and greatest of it over the runs"""

    windows: int
    calls: int
    p50: float
    p95: float
    p99: float
    windows_per_second: float
    spread: tuple[float, float]


@dataclass(frozen=True)
class Answers:
    """On held-out people. largest : difference of a probability from that of scikit-learn; same_activity : share of
    windows with the same activity as by scikit-learn"""

    windows: int
    people: int
    accuracy: float
    macro_f1: float
    largest: float
    same_activity: float


@dataclass(frozen=True)
class EngineFigures:
    """What one engine does. megabytes : of its files; peak_megabytes : of its process"""

    engine: str
    megabytes: float
    load_seconds: float
    peak_megabytes: float
    speeds: tuple[Speed, ...]
    answers: Answers

    def best(self) -> float:
        """Windows/s in the batches that suit it best."""
        return max(speed.windows_per_second for speed in self.speeds)


@dataclass(frozen=True)
class BenchReport:
    """The figures of all engines. data : of accuracy and parity; refitted : whether by models of the same recipe that
    had not learnt from the people, as the version itself has"""

    version: str
    energy_version: str | None
    data: str
    refitted: bool
    runs: int
    engines: tuple[EngineFigures, ...]

    def front(self) -> tuple[str, ...]:
        """Engines that no other one beats in speed, accuracy and memory at once."""

        def beats(one: EngineFigures, other: EngineFigures) -> bool:
            pairs = (
                (one.best(), other.best()),
                (one.answers.macro_f1, other.answers.macro_f1),
                (-one.peak_megabytes, -other.peak_megabytes),
            )
            return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

        return tuple(
            one.engine for one in self.engines if not any(beats(other, one) for other in self.engines)
        )


@dataclass(frozen=True)
class _Subject:
    """What is measured: the model files, by kind, and where the classifier learnt."""

    stored: Mapping[str, ModelBytes]
    source: str

    def version(self, kind: str) -> str | None:
        return self.stored[kind].version if kind in self.stored else None


def bench(
    config: Settings, version: str, request: BenchRequest | None = None, *, say: Say = lambda text: None
) -> BenchReport:
    """Measure a version of the classifier, with the regressor that serves where there is one.

    version : its number, or a folder that `activity train --folder` made. Raises ModelError where a version is refused
    or has no form in ONNX, DataError, ConfigError, ServiceUnavailableError.
    """
    needed()
    request = request or BenchRequest()
    subject = _subject(config, version)
    data = request.windows
    refitted = public_name(data.data) == subject.source and data.data != "synthetic"
    say(f"windows of {data.data}")
    (windows,) = load_windows(
        data.data,
        config,
        devices=data.devices,
        minutes=data.minutes,
        seed=data.seed,
        augmented=refitted,
    )
    known = windows.take(np.flatnonzero(windows.activity != ""))
    answers = _refitted(config, known, say) if refitted else _answers(config, subject, known)
    with tempfile.TemporaryDirectory(prefix="activity-bench-") as temporary:
        folder = Path(temporary)
        sizes = _prepare(folder, subject, windows.originals())
        times = _measured(folder, request, say)
    engines = tuple(
        EngineFigures(
            engine,
            sizes[engine],
            ended["load_seconds"],
            ended["peak_megabytes"],
            tuple(_speed(size, rounds) for size, rounds in of_batches.items()),
            answers[engine],
        )
        for engine, (of_batches, ended) in times.items()
    )
    return BenchReport(
        subject.stored["activity"].version,
        subject.version("energy"),
        public_name(data.data),
        refitted,
        request.runs,
        engines,
    )


def _subject(config: Settings, version: str) -> _Subject:
    folder = Path(version)
    # of os.path: False also where the text can be no path
    if not version.isdigit() and os.path.isfile(folder / "activity" / MODEL_FILE):
        found = {
            kind: ModelBytes.read(folder / kind, folder.name, config.models.max_megabytes)
            for kind in ("activity", "energy")
            if (folder / kind).is_dir()
        }
        return _Subject(found, _source(folder / "activity"))
    classifier = ModelVersion(config.registry.classifier, version)
    found = {"activity": checked(config, classifier).stored}
    energy = serving_version(config, config.registry.regressor)
    if energy is not None:
        found["energy"] = checked(config, energy).stored
    return _Subject(found, _source(fetch(config, classifier)))


def _source(folder: Path) -> str:
    return str(json.loads((folder / LINEAGE_FILE).read_text(encoding="utf-8"))["data"]["source"])


def _forms(pipeline: Pipeline, card: Card, content: bytes) -> dict[str, bytes]:
    """The exports of a model; that to INT8 is the other one where there is none."""
    made = to_onnx(pipeline, card, content)
    try:
        return {ONNX: made, INT8: quantised(made)}
    except ModelNotConvertibleError:
        return {ONNX: made, INT8: made}


def _prepare(folder: Path, subject: _Subject, windows: TrainingWindows) -> dict[str, float]:
    """Fill the folder that bench_process reads; the megabytes of each engine's files."""
    sizes = dict.fromkeys(ENGINES, 0)
    np.save(folder / "features.npy", windows.features)
    for kind, stored in subject.stored.items():
        own = folder / kind
        own.mkdir()
        (own / MODEL_FILE).write_bytes(stored.content)
        (own / CARD_FILE).write_text(stored.card, encoding="utf-8")
        if stored.familiarity is not None:
            (own / FAMILIARITY_FILE).write_bytes(stored.familiarity)
        pipeline, card = load_model(replace(stored, onnx=None), kind, checked=True)
        sizes[SKLEARN] += len(stored.content)
        for engine, content in _forms(pipeline, card, stored.content).items():
            (own / f"{engine}.onnx").write_bytes(content)
            sizes[engine] += len(content)
    return {engine: size / 1e6 for engine, size in sizes.items()}


def _measured(folder: Path, request: BenchRequest, say: Say) -> dict[str, tuple[_Rounds, _Json]]:
    """Engine -> its rounds by batch size, and what it says at its end."""
    found: dict[str, tuple[_Rounds, _Json]] = {}
    with contextlib.ExitStack() as stack:
        processes = {engine: stack.enter_context(_process(folder, engine)) for engine in ENGINES}
        for engine, process in processes.items():
            notes = _read(process, engine)["notes"]
            if notes:
                raise ModelError(f"{engine} cannot be measured: {'; '.join(notes)}")
        rounds: dict[str, _Rounds] = {engine: {size: [] for size in request.batches} for engine in ENGINES}
        for run in range(request.runs):
            say(f"run {run + 1} of {request.runs}")
            for size in request.batches:
                calls = max(3, min(_CALLS, _WINDOWS_A_RUN // size))
                for engine, process in processes.items():
                    assert process.stdin is not None
                    process.stdin.write(f"{size} {calls}\n")
                    process.stdin.flush()
                    rounds[engine][size].append(_read(process, engine))
        for engine, process in processes.items():
            assert process.stdin is not None
            process.stdin.close()
            found[engine] = rounds[engine], _read(process, engine)
    return found


@contextlib.contextmanager
def _process(folder: Path, engine: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"{__package__}.bench_process", str(folder), engine]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _read(process: subprocess.Popen[str], engine: str) -> _Json:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ModelError(f"the process that scored with {engine} ended with code {process.wait()}")
    return json.loads(line)


def _speed(size: int, rounds: list[_Json]) -> Speed:
    milliseconds = np.concatenate([one["seconds"] for one in rounds]) * 1e3
    rates = [size * len(one["seconds"]) / max(one["processor_seconds"], 1e-9) for one in rounds]
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99)).tolist()
    return Speed(size, len(milliseconds), p50, p95, p99, float(np.median(rates)), (min(rates), max(rates)))


def _answers(config: Settings, subject: _Subject, known: TrainingWindows) -> dict[str, Answers]:
    """The answers of the version itself about people whom it has not seen."""
    stored = subject.stored["activity"]
    pipeline, card = load_model(replace(stored, onnx=None), "activity", config.windows, checked=True)
    known = known.take(np.flatnonzero(np.isin(known.activity, card.labels)))
    if not len(known):
        raise NotEnoughDataError("no window has an activity that the version knows; name other --data")
    place = {label: k for k, label in enumerate(card.labels)}
    truth = np.array([place[label] for label in known.activity])
    return _scored(_by_engine(pipeline, card, stored.content, known), truth, known.person)


def _refitted(config: Settings, data: TrainingWindows, say: Say) -> dict[str, Answers]:
    """The same of models by the recipe of the settings, each of which has not seen a part of the people."""
    labels = tuple(map(str, np.unique(data.activity)))
    found: dict[str, list[np.ndarray]] = {engine: [] for engine in ENGINES}
    rows = []
    for number, (learn, test) in enumerate(person_folds(data.person, _FOLDS), 1):
        say(f"fitting without a part of the people, {number} of {_FOLDS}")
        fit = fit_activity(data.take(learn), config)
        card = Card("activity", fit.labels, fit.feature_names, "")
        if fit.labels != labels:
            raise NotEnoughDataError("an activity is known of too few people to hold them out")
        test = test[~data.copied[test]]
        for engine, answer in _by_engine(fit.pipeline, card, b"", data.take(test)).items():
            found[engine].append(answer)
        rows.append(test)
    tested = np.concatenate(rows)
    truth = np.searchsorted(np.array(labels), data.activity[tested])
    return _scored(
        {engine: np.concatenate(parts) for engine, parts in found.items()}, truth, data.person[tested]
    )


def _by_engine(
    pipeline: Pipeline, card: Card, content: bytes, windows: TrainingWindows
) -> dict[str, np.ndarray]:
    inputs, known = inputs_of(card, windows), in_known_frame(windows.device_model.tolist())
    made = {SKLEARN: probabilities_of(pipeline, inputs, known)}
    return made | {
        form: OnnxModel(own)(inputs, known) for form, own in _forms(pipeline, card, content).items()
    }


def _scored(found: Mapping[str, np.ndarray], truth: np.ndarray, person: np.ndarray) -> dict[str, Answers]:
    out = {}
    for engine, answers in found.items():
        counts = confusion(answers.argmax(1), truth, answers.shape[1])
        beside = parity(found[SKLEARN], answers, ONNX)
        out[engine] = Answers(
            len(truth),
            len(np.unique(person)),
            float(accuracy(counts)),
            float(macro_f1(counts)),
            beside.largest,
            beside.same_activity,
        )
    return out

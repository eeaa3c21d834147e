"""The conditions of a release: one function each, a sentence with its figures as the result."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from activitymodule.errors import ModelError, NotEnoughDataError
from activitymodule.learning.gate.verdict import Check
from activitymodule.models.answering import compare
from activitymodule.models.baseline import read_baseline
from activitymodule.models.bundle import BundleBytes, fitting_card, load_bundle, load_model
from activitymodule.models.export import LINEAGE_FILE, Card
from activitymodule.models.flavour import MLMODEL_FILE, units
from activitymodule.models.kinds import KINDS
from activitymodule.models.onnx.parity import ONNX
from activitymodule.models.thresholds import read_thresholds
from activitymodule.monitoring.planted import find_planted_shift
from activitymodule.registry.lineage import fingerprint
from activitymodule.registry.versions import ModelVersion, fetch, get
from activitymodule.serving.checking import Checked, checked
from activitymodule.serving.record import names, serving
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.live import watches_of_late
from activitymodule.store.migrate import schema as store_schema
from activitymodule.store.model_exports import exports_of
from activitymodule.store.models import features_of_stream
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.assembling import assemble
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.windows.features import features
from activitymodule.windows.panes import windows_of

_PROBE_WATCHES = 40  # of a minute each
_BURST_SECONDS, _BURST = 10, 2
_ROWS_PER_SECOND = 1.0  # of a watch


@dataclass(frozen=True)
class Rates:
    """Windows a second of one core: the model alone, and with the features."""

    alone: float
    with_features: float


@dataclass(frozen=True)
class Subject:
    """The version that is to be released. found : as it is loaded; refusal : why it must not be"""

    config: Settings
    kind: str
    version: ModelVersion
    found: Checked | None
    refusal: str = ""

    @classmethod
    def of(cls, config: Settings, kind: str, version: ModelVersion) -> Subject:
        """A version of the registry. Raises ServiceUnavailableError."""
        try:
            return cls(config, kind, version, checked(config, version, max_megabytes=float("inf")))
        except ModelError as error:
            return cls(config, kind, version, None, str(error))

    @cached_property
    def folder(self) -> Path:
        """Its files."""
        return fetch(self.config, self.version)

    @cached_property
    def rates(self) -> Rates:
        """How quick it is on windows of synthesised watches."""
        assert self.found is not None
        windows = windows_of(training_readings(_PROBE_WATCHES, 1, 1).readings, self.config.windows)
        model = load_bundle(BundleBytes(self.found.stored), self.config.windows, checked=True)
        begin = time.process_time()
        batch = assemble(windows.window_start_us, windows.panes, self.config.windows)
        computed = features(batch, self.config.windows)
        middle = time.process_time()
        model.score(computed)
        end = time.process_time()
        n = len(computed)
        return Rates(n / max(end - middle, 1e-6), n / max(end - begin, 1e-6))

    @cached_property
    def card(self) -> Card:
        """Its card."""
        assert self.found is not None
        return Card.from_json(self.found.stored.card)


def _check(name: str, passed: bool, message: str, **figures: float) -> Check:
    return Check(name=name, passed=passed, message=message, figures={**figures})


def loads(subject: Subject) -> Check:
    """It may be loaded, and answers the windows on its card as it did in its training."""
    if subject.found is None:
        return _check("loads", False, f"it does not serve: {subject.refusal}")
    model, card = load_model(subject.found.stored, subject.kind, subject.config.windows, checked=True)
    off = compare(model, card)
    known = len(card.scored.inputs) if card.scored else 0
    return _check("loads", off is None, off or f"it loads and answers {known} windows as in its training")


def schema(subject: Subject) -> Check:
    """Features, units, labels, and the versions of code, store and stream agree."""
    config, card = subject.config, subject.card
    assert subject.found is not None
    fitting_card(subject.found.stored, subject.kind, config.windows)
    wrong = [*_wrong_units(subject), *_wrong_labels(subject)]
    store = store_schema(config)
    if not store.up_to_date:
        wrong.append(f"the store is at revision {store.current}, this code needs {store.head}")
    with session(config, read_only=True) as connection:
        topic = config.kafka.topic
        streams = features_of_stream(connection, name=config.registry.classifier, topic=topic)
    if streams not in (None, FEATURES_VERSION):
        wrong.append(
            f"the scorer that runs computes features of version {streams}, this code {FEATURES_VERSION}"
        )
    if wrong:
        return _check("schema", False, "; ".join(wrong))
    message = f"{len(card.feature_names)} features, {len(card.labels)} labels, store {store.head}"
    return _check("schema", True, f"{message} agree with this code", features=len(card.feature_names))


def _wrong_units(subject: Subject) -> Iterator[str]:
    path = subject.folder / MLMODEL_FILE
    if not path.is_file():
        return  # of an earlier version of this project: the features' version on the card is what is known
    described = yaml.safe_load(path.read_text(encoding="utf-8")).get("metadata") or {}
    own = units(subject.card.feature_names)
    off = [name for name, unit in (described.get("units") or {}).items() if own.get(name) != unit]
    if off:
        yield f"{len(off)} features have other units in this code, such as {off[0]}"
    if described.get("features_version") not in (None, FEATURES_VERSION):
        yield f"its description names features of version {described['features_version']}"


def _wrong_labels(subject: Subject) -> Iterator[str]:
    config, registry = subject.config, subject.config.registry
    if not KINDS[subject.kind].of_windows:
        return
    other = registry.regressor if subject.kind == "activity" else registry.classifier
    paired = serving(config, other)
    if paired is None:
        return
    with suppress(ModelError):  # what serves has a check of its own
        labels = Card.from_json(checked(config, ModelVersion(other, paired.version)).stored.card).labels
        mine = subject.card.labels
        classifier, regressor = (mine, labels) if subject.kind == "activity" else (labels, mine)
        if not set(classifier) & set(regressor):
            yield f"none of the classifier's labels is known to the regressor ({other} {paired.version})"


def size(subject: Subject) -> Check:
    """It is no larger than the limit."""
    assert subject.found is not None
    most, megabytes = subject.config.models.max_megabytes, len(subject.found.stored.content) / 1e6
    return _check(
        "size",
        megabytes <= most,
        f"it has {megabytes:.1f} MB, at most {most:g}",
        megabytes=round(megabytes, 3),
    )


def speed(subject: Subject) -> Check:
    """It scores enough windows a second of a core's time, so that a busy machine makes no difference."""
    least, rate = subject.config.learning.least_windows_per_second, subject.rates.alone
    return _check(
        "speed",
        rate >= least,
        f"{rate:,.0f} windows/s a core, at least {least:,.0f}",
        windows_per_second=round(rate),
    )


def queue(subject: Subject) -> Check:
    """The scorer stands a burst of twice the usual rate without a lag.

    A watch's window is scored again with each message, about once a second. Time of the processor, features included.
    """
    config, cores = subject.config, subject.config.scoring.min_partitions
    with session(config, read_only=True) as connection:
        watches = watches_of_late(connection)
    whose = f"{watches:,} watches of the last ten minutes" if watches else f"{config.fleet.devices:,} watches"
    usual = (watches or config.fleet.devices) * _ROWS_PER_SECOND
    burst = _BURST * usual * _BURST_SECONDS
    seconds = burst / (subject.rates.with_features * cores)
    lag = max(0.0, seconds - _BURST_SECONDS)
    return _check(
        "queue",
        lag == 0,
        f"a burst of {_BURST} x the usual rate ({whose}) for {_BURST_SECONDS} s, {burst:,.0f} rows, "
        f"takes {seconds:.1f} s of {cores} cores; lag after it {lag:.1f} s",
        usual_per_second=round(usual),
        seconds=round(seconds, 2),
        lag_seconds=round(lag, 2),
    )


def drift(subject: Subject) -> Check:
    """Drift monitoring can compute for it: a shift that is planted is found, and none where there is none."""
    try:
        baseline = read_baseline(subject.folder)
        if baseline is None:
            return _check("drift", False, "it has no drift baseline; train it again")
        if baseline.labels != subject.card.labels:
            return _check("drift", False, "its drift baseline is of other labels; train it again")
        moved, hits = find_planted_shift(baseline, subject.config.monitoring)
    except (ModelError, NotEnoughDataError) as error:
        return _check("drift", False, str(error))
    return _check(
        "drift", True, f"a planted shift of {moved} features is found, none where there is none", hits=hits
    )


def lineage(subject: Subject) -> Check:
    """Its data, configuration, code and parents are recorded, and are what the record says."""
    assert subject.found is not None
    record = json.loads((subject.folder / LINEAGE_FILE).read_text(encoding="utf-8"))
    data, made, code = (record.get(part) or {} for part in ("data", "config", "code"))
    missing = [
        name
        for name, known in (
            ("training data", data.get("sha256")),
            ("configuration", made.get("sha256")),
            ("code version", code.get("version")),
            ("libraries", record.get("libraries")),
        )
        if not known
    ]
    if missing:
        return _check("lineage", False, f"not recorded: {', '.join(missing)}")
    if "values" in made and fingerprint(made["values"]) != made["sha256"]:
        return _check("lineage", False, "the recorded configuration is not the one it was hashed from")
    if gone := list(_gone(subject, record.get("parents") or {})):
        return _check("lineage", False, f"the registry lacks the models it was made with: {', '.join(gone)}")
    revision = code.get("revision") or "no revision"
    return _check(
        "lineage",
        True,
        f"{data.get('source', '?')} {data['sha256'][:12]}, configuration {made['sha256'][:12]}, code {code['version']} "
        f"({revision}{', changed since' if revision.endswith('+') else ''})",
    )


def _gone(subject: Subject, parents: Mapping[str, str]) -> Iterator[str]:
    """The parents that the registry has no more. A retraining's is the champion of then."""
    known = set(names(subject.config).values())
    for role, version in parents.items():
        name = subject.version.name if role == "champion" else role
        if name in known:
            try:
                get(subject.config, name, str(version))
            except ModelError:
                yield f"{name} {version}"


Condition = Callable[[Subject], Check]


def parity(subject: Subject) -> Check:
    """The export that `scoring.engine` would serve gives the answers of the model file, as far as it was compared."""
    config, version = subject.config, subject.version
    engine = config.scoring.engine
    with session(config, read_only=True) as connection:
        exports = exports_of(connection, version.name, version.version)
    marked = "".join(
        f"; its export {form} failed the comparison and does not serve ({one.failure})"
        for form, one in exports.items()
        if one.failure and form != engine
    )
    served = exports.get(engine)
    if served is None:
        why = f", it has no export {engine}" if engine == ONNX else ""
        return _check("parity", True, f"scikit-learn scores it{why}{marked}")
    if served.failure:
        return _check("parity", False, f"its export {engine} failed the comparison: {served.failure}{marked}")
    return _check(
        "parity",
        True,
        f"its export {engine} differs by {served.largest:.1g} at the most over {served.windows:,} windows, the same "
        f"activity in {served.same_activity:.2%}{marked}",
        largest=served.largest,
        windows=served.windows,
    )


def thresholds(subject: Subject) -> Check:
    """Its thresholds are of its labels, and each was precise enough on people held out."""
    found = read_thresholds(subject.folder)
    if found is None:
        return _check("thresholds", True, "it has none: no prediction of it is decided")
    if set(found.activities) != set(subject.card.labels):
        return _check("thresholds", False, "its thresholds are of other labels; train it again")
    target, known = found.target_precision, found.activities
    reached = {label: one for label, one in known.items() if one.confidence is not None}
    low = [label for label, one in reached.items() if one.precision is None or one.precision < target]
    if low:
        return _check("thresholds", False, f"below the target precision of {target:g}: {', '.join(low)}")
    never = [label for label in known if label not in reached]
    message = f"{len(reached)} of {len(known)} activities reach a precision of {target:g}"
    return _check(
        "thresholds",
        True,
        f"{message}, {found.decided:.0%} of windows are decided"
        + (f"; never: {', '.join(never)}" if never else ""),
        decided=round(found.decided, 3),
    )


OF_ALL: tuple[Condition, ...] = (schema, size, lineage)
OF_WINDOWS: tuple[Condition, ...] = (parity,)
OF_CLASSIFIERS: tuple[Condition, ...] = (thresholds, drift, speed, queue)

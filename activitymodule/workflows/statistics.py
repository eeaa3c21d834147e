"""Reference statistics: measure them from recordings, and compare synthetic recordings with real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from activitymodule import files
from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, resolve
from activitymodule.statistics import measure as fit
from activitymodule.statistics import portrait, recordings
from activitymodule.statistics.fidelity import protocol, two_sample
from activitymodule.statistics.fidelity.protocol import Report, Synthesise
from activitymodule.statistics.fidelity.report import Line, summary
from activitymodule.statistics.recipes import settings_used
from activitymodule.statistics.recordings import Recording
from activitymodule.statistics.reference import Origin, ReferenceStatistics
from activitymodule.synthesis.signals import SignalGenerator
from activitymodule.workflows.cloud.reference import local_reference

Step = Callable[[str, int], None]
"""Called before each step with what it does, and with the number of steps."""

# the public sources
ORIGINS = {
    "wisdm": {
        "source": "WISDM Smartphone and Smartwatch Activity and Biometrics Dataset, smartwatch accelerometer; "
        "UCI Machine Learning Repository 507",
        "licence": "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
        "citation": "G. M. Weiss, K. Yoneda, T. Hayajneh (2019): Smartphone and Smartwatch-Based Biometrics "
        "Using Activities of Daily Living. IEEE Access 7, 133190-133202.",
    }
}
MINUTES = 2
"""Minutes synthesised of each person and activity: as long as the WISDM recordings."""
_FIRST_MINUTE = 29_000_000


def no_step(text: str, steps: int) -> None:
    """Shows no progress."""


# ---- measure -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Reference statistics that were written."""

    path: str
    bytes: int
    people: int
    profiles: int
    activities: tuple[str, ...]


def measure(
    config: Settings,
    what: str,
    *,
    people: Collection[str] | None = None,
    out: Path | None = None,
    name: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    step: Step = no_step,
) -> Measured:
    """Measure the reference statistics of recordings and write them.

    what : a prepared source, a path of prepared Parquet, or SOURCE:PATH; people : only these; out : the .parquet to
    write, by default lake/statistics/NAME.parquet. Raises ConfigError or DataError.
    """
    source = what.partition(":")[0]
    known = ORIGINS.get(source, {})
    name = name or (source if source.isidentifier() else Path(what).stem)
    target = out or resolve(f"{config.lake.folder}/statistics/{name}.parquet")
    if target.suffix != ".parquet":
        raise ConfigError(f"--out must end with .parquet; {target} does not")
    found = _read(config, what, people)
    step("fitting", len(found))
    profiles = fit.measure(found, progress=lambda p: step(f"{p.person}, {p.activity}", len(found)))
    activities = tuple(sorted({p.activity for p in profiles}))
    count = len({p.person for p in profiles})
    reference = ReferenceStatistics(
        profiles,
        Origin(
            name=name,
            source=known.get("source", source),
            licence=licence or known.get("licence", "unknown"),
            citation=citation or known.get("citation", "unknown"),
            people=count,
            activities=activities,
            settings=settings_used(set(activities)),
            note="Each profile is fitted from its own person's recording alone, so that a subset of the people "
            "is what fitting that subset gives: leaving people out needs no second file.",
        ),
    )
    reference.save(target)
    return Measured(str(target), target.stat().st_size, count, len(profiles), reference.activities)


@dataclass(frozen=True)
class Refreshed:
    """The reference statistics of a prepared source; measured: whether they had to be measured anew."""

    source: str
    measured: bool
    path: str


def prepared_sources(config: Settings) -> list[str]:
    """Names of the sources that are prepared in the lake; none where the lake is no folder of this machine, because
    reference statistics are measured from files."""
    if "://" in config.lake.folder:
        return []
    folder = resolve(config.lake.folder) / "prepared"
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if one.is_dir() and any(one.rglob("*.parquet")))


def sources_to_refresh(config: Settings, source: str = "") -> list[str]:
    """The prepared sources, or only `source`. Raises ConfigError where that one is not prepared."""
    prepared = prepared_sources(config)
    if not source:
        return prepared
    if source not in prepared:
        raise ConfigError(f"the lake holds no prepared source {source}; run `activity prepare {source} PATH`")
    return [source]


def refresh(config: Settings, source: str, force: bool = False) -> Refreshed:
    """Measure the reference statistics of a prepared source into lake/statistics/SOURCE.parquet, where its recordings
    changed since the last time, or with `force`."""
    lake = resolve(config.lake.folder)
    folder, target = lake / "prepared" / source, lake / "statistics" / f"{source}.parquet"
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.parquet")):
        digest.update(f"{file.relative_to(folder)}\0".encode())
        with open(file, "rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    record, state = target.with_suffix(".recordings"), digest.hexdigest()
    same = target.is_file() and record.is_file() and record.read_text(encoding="utf-8").strip() == state
    if same and not force:
        return Refreshed(source, False, str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    measure(config, str(folder), out=target, name=source)
    files.write_text(record, state + "\n")
    return Refreshed(source, True, str(target))


# ---- compare -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Synthetic recordings beside real ones: the figures of the summary, and all of them."""

    real: str
    synthetic: str
    jitter: bool
    summary: tuple[Line, ...]
    details: Report

    def document(self) -> dict[str, object]:
        """The comparison for JSON; each line of the summary has whether its target is met."""
        return {**asdict(self), "summary": [{**asdict(line), "met": line.met} for line in self.summary]}


def compare(
    config: Settings,
    real: str,
    synthetic: str,
    *,
    people: Collection[str] | None = None,
    seeds: int = 3,
    jitter: bool = False,
    figure: Path | None = None,
    step: Step = no_step,
) -> Comparison:
    """Compare synthetic recordings with real ones.

    real : as `what` of `measure`; synthetic : the same, or reference:NAME or reference:PATH; people : of the real
    recordings; seeds : how many times to synthesise; jitter : devices that differ from the people, as a fleet's do;
    figure : a PNG to write. Raises ConfigError or DataError.
    """
    found = _read(config, real, people)
    synthesise, seeded = _synthesiser(config, synthetic, found, jitter)
    numbers = list(range(1, seeds + 1)) if seeded else [1]
    steps = len(numbers) * (1 + two_sample.FOLDS) + two_sample.FOLDS + 2
    report = protocol.compare(found, synthesise, numbers, lambda text: step(text, steps))
    lines = summary(report)
    names = public_name(real), public_name(synthetic)
    if figure is not None:
        step("drawing", steps)
        who = {r.person for r in found}
        kind = "watches of a fleet" if jitter else "the same people"
        title = f"{names[0]} beside {names[1]}, {kind}"
        portrait.draw(found, synthesise(who, numbers[0]), lines, figure, title)
    return Comparison(*names, jitter, tuple(lines), report)


def synthetic_people(
    reference: ReferenceStatistics, people: Collection[str], seed: int, *, jitter: bool
) -> list[Recording]:
    """MINUTES of each profile of these people; with jitter the devices differ from them as a fleet's do."""
    part = reference.of_people(people)
    signals = SignalGenerator(part, seed, jitter=jitter)
    device = {name: number for number, name in enumerate(reference.people)}
    return [
        Recording(
            p.person,
            p.activity,
            np.concatenate([signals.block(i, device[p.person], _FIRST_MINUTE + m) for m in range(MINUTES)]),
        )
        for i, p in enumerate(part.profiles)
    ]


def public_name(what: str) -> str:
    """The name of recordings or statistics without this machine's folders."""
    kind, colon, rest = what.partition(":")
    if kind == "reference":
        return f"reference:{Path(rest).stem}"
    return kind if colon else Path(what).name


def _read(config: Settings, what: str, people: Collection[str] | None) -> list[Recording]:
    chosen = None if people is None else set(people)
    return recordings.read(what, resolve(config.lake.folder) / "prepared", chosen)


def _synthesiser(config: Settings, what: str, real: list[Recording], jitter: bool) -> tuple[Synthesise, bool]:
    """What makes the synthetic recordings of `compare`, and whether another seed makes others."""
    kind, _, name = what.partition(":")
    if kind == "reference":
        reference = ReferenceStatistics.load(local_reference(config, name))
        strangers = {r.person for r in real} - set(reference.people)
        if strangers:
            raise ConfigError(
                f"{len(strangers)} people of the real recordings are not in {what} "
                f"({', '.join(sorted(strangers)[:3])}); choose with --people whom to compare"
            )
        return (lambda people, seed: synthetic_people(reference, people, seed, jitter=jitter)), True
    made = _read(config, what, None)
    same = {r.person for r in made} & {r.person for r in real}

    def take(people: Collection[str], _seed: int) -> list[Recording]:
        # a synthetic person with the name of a real one is left out with them
        return [r for r in made if r.person in people or r.person not in same]

    return take, False

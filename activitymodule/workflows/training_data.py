"""Training data by name: synthetic readings, recordings of a source, or Parquet, as windows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from activitymodule.errors import DataError
from activitymodule.models.dataset import (
    AS_WORN,
    Mirror,
    TrainingWindows,
    concatenated,
    thinned,
    windows_of_readings,
    windows_of_table,
)
from activitymodule.models.energy import PersonColumns
from activitymodule.settings import Augmentation, Settings
from activitymodule.synthesis.history import training_parts
from activitymodule.telemetry.sources import is_source, read, source_named
from activitymodule.telemetry.untrusted import readable
from activitymodule.workflows.cloud.reference import local_reference
from activitymodule.workflows.requests import TrainingRequest

Progress = Callable[[int, int], None]
"""Called with how many parts are done, and of how many."""

_DEVICES_AT_ONCE = 4


def load_windows(
    data: str,
    config: Settings,
    *,
    devices: int = TrainingRequest.devices,
    minutes: int = TrainingRequest.minutes,
    seed: int = 1,
    mirrors: Sequence[Mirror] = (AS_WORN,),
    augmented: bool = False,
    progress: Progress | None = None,
) -> list[TrainingWindows]:
    """Windows of `synthetic`, of SOURCE:PATH or MAPPING:PATH, or of the Parquet at PATH (prepared readings, or a
    table of features), one result for each of `mirrors`: signs that its axes are multiplied by. augmented :
    with copies, by `models.augmentation`, where the watch is as it was worn.

    Features are computed part by part (some devices, a chunk of a recording, a file), because the readings may be
    larger than memory. Raises DataError or ConfigError.
    """
    kept: list[list[TrainingWindows]] = [[] for _ in mirrors]
    changes = _augmentation(data, config.models.augmentation) if augmented else None
    for part in _parts(data, config, devices, minutes, seed, progress or (lambda done, of: None)):
        for windows, mirror in zip(kept, mirrors, strict=True):
            if "stamp" in part.readings.column_names:
                copies = changes if mirror == AS_WORN else None
                windows.append(
                    windows_of_readings(
                        part.readings, config.windows, part.people, mirror=mirror, augmentation=copies
                    )
                )
            else:
                windows.append(windows_of_table(part.readings))
    return [thinned(concatenated(windows), config.models.augmentation.most_windows) for windows in kept]


def load_readings(data: str, config: Settings, people: Collection[str]) -> pa.Table:
    """Canonical readings of these people, with `activity` and `person`; data : as of `load_windows`. They must fit into
    memory. Raises DataError where there is none of them, or the data is a table of features."""
    kept = []
    for part in _parts(data, config, 1, 1, 1, lambda done, of: None):
        if not {"stamp", "person", "activity"} <= set(part.readings.column_names):
            raise DataError(f"{data} has no readings of known people and activities; see docs/recordings.md")
        person = part.readings.column("person").cast(pa.string())
        kept.append(part.readings.filter(pc.is_in(person, pa.array(sorted(people), pa.string()))))
    if not sum(map(len, kept)):
        raise DataError(f"{data} has no reading of {', '.join(sorted(people))}")
    return pa.concat_tables(kept, promote_options="permissive")


def _augmentation(data: str, setting: Augmentation) -> Augmentation:
    """The setting; one copy of synthesised runs at the most, which are many and differ from each other already."""
    return setting.model_copy(update={"copies": setting.copies[:1]}) if data == "synthetic" else setting


def public_name(data: str) -> str:
    """The name of training data in the registry: without this machine's folders."""
    source, colon, path = data.partition(":")
    known = colon and ("/" not in source or is_source(source))
    return f"{Path(source).stem}:{Path(path).name}" if known else Path(data).name


class _Part(NamedTuple):
    """Some of the training data: readings (or a table of features), and people where they are stored apart."""

    readings: pa.Table
    people: PersonColumns | None = None


def _parts(
    data: str, config: Settings, devices: int, minutes: int, seed: int, progress: Progress
) -> Iterator[_Part]:
    if data == "synthetic":
        yield from _synthetic_parts(config, devices, minutes, seed, progress)
        return
    name, colon, path = data.partition(":")
    if not (colon and ("/" not in name or is_source(name))) or Path(data).exists():
        yield from _parquet_parts(Path(data).expanduser(), progress)
        return
    units = source_named(name).scan(Path(path).expanduser())
    for k, unit in enumerate(units, 1):
        for chunk in read(unit):
            yield _Part(chunk.readings)
        progress(k, len(units))


def _synthetic_parts(
    config: Settings, devices: int, minutes: int, seed: int, progress: Progress
) -> Iterator[_Part]:
    reference = local_reference(config, config.fleet.reference)
    parts = training_parts(devices, minutes, seed, reference=reference, devices_at_once=_DEVICES_AT_ONCE)
    for k, part in enumerate(parts, 1):
        yield _Part(part.readings, part.people)
        progress(min(k * _DEVICES_AT_ONCE, devices), devices)


def _parquet_parts(path: Path, progress: Progress) -> Iterator[_Part]:
    if not path.exists():
        raise DataError(
            f"there is no training data at {path}; give a Parquet file or folder, SOURCE:PATH or `synthetic`"
        )
    with readable(path):
        # partition values stay text: the person 007 is not the number 7
        first = next(path.rglob("*.parquet"), path) if path.is_dir() else path
        keys = [part.partition("=")[0] for part in first.relative_to(path).parts if "=" in part]
        partitioning = ds.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")
        dataset = ds.dataset(path, format="parquet", partitioning=partitioning)
        fragments = list(dataset.get_fragments())
        for k, fragment in enumerate(fragments, 1):
            yield _Part(fragment.to_table(schema=dataset.schema))
            progress(k, len(fragments))

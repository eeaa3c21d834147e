"""Files of reference statistics: what is saved is what is loaded; and what must never be in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from known_recordings import sitter, walker

from activitymodule.errors import ConfigError, DataError
from activitymodule.statistics.measure import measure
from activitymodule.statistics.profile import LEAST_FRAMES, LEVELS, Profile
from activitymodule.statistics.reference import SHIPPED, Origin, ReferenceStatistics
from activitymodule.synthesis.signals import SignalGenerator


@pytest.fixture(scope="module")
def people() -> ReferenceStatistics:
    recordings = [walker("a", 0.9), sitter("a"), walker("b", 1.0, seed=5)]
    return ReferenceStatistics(measure(recordings), Origin("made", licence="none", people=2))


def test_signals_of_a_loaded_file_are_those_of_what_was_saved(
    people: ReferenceStatistics, tmp_path: Path
) -> None:
    people.save(tmp_path / "made.parquet")
    loaded = ReferenceStatistics.load(tmp_path / "made.parquet")
    assert [(p.person, p.activity) for p in loaded.profiles] == [
        (p.person, p.activity) for p in people.profiles
    ]
    assert loaded.origin == people.origin
    before, after = SignalGenerator(people, 3), SignalGenerator(loaded, 3)
    for profile in range(len(people.profiles)):
        difference = np.abs(before.block(profile, 4, 100) - after.block(profile, 4, 100))
        # half precision, and a phase whose frequency is in single precision
        assert difference.mean() < 0.01


def test_saving_what_was_loaded_changes_nothing(people: ReferenceStatistics, tmp_path: Path) -> None:
    people.save(tmp_path / "one.parquet")
    ReferenceStatistics.load(tmp_path / "one.parquet").save(tmp_path / "two.parquet")
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert one.schema == two.schema
    for name in one.column_names:
        if pa.types.is_list(one.schema.field(name).type):
            left, right = (
                np.concatenate([row for row in t.column(name).to_pylist() if row is not None] or [[0.0]])
                for t in (one, two)
            )
            assert left == pytest.approx(right, abs=2e-3), name
        else:
            assert one.column(name) == two.column(name), name


def test_leaving_a_person_out_is_what_fitting_the_others_gives() -> None:
    together = ReferenceStatistics(
        measure([walker("a", 0.9), sitter("a"), walker("b", 1.0, seed=5)]), Origin("x")
    ).of_people(["a"])
    alone = ReferenceStatistics(measure([walker("a", 0.9), sitter("a")]), Origin("x"))
    for profile in range(2):
        assert np.array_equal(
            SignalGenerator(together, 1).block(profile, 1, 1), SignalGenerator(alone, 1).block(profile, 1, 1)
        )


def test_a_regime_of_few_frames_is_never_written(people: ReferenceStatistics, tmp_path: Path) -> None:
    sitting = next(p for p in people.profiles if p.activity == "sitting")
    assert len(sitting.regimes) > 1
    thin = replace(sitting, regimes=(replace(sitting.regimes[0], frames=4), *sitting.regimes[1:]))
    with pytest.raises(DataError, match="4"):
        ReferenceStatistics((thin,), people.origin).save(tmp_path / "thin.parquet")


@pytest.mark.parametrize("name", [path.stem for path in sorted(SHIPPED.glob("*.parquet"))])
def test_shipped_statistics_keep_people_private(name: str) -> None:
    table = pq.read_table(SHIPPED / f"{name}.parquet")
    assert min(table.column("frames").to_pylist()) >= LEAST_FRAMES
    # no list is a sorted list of readings: 17 quantiles of at least 50 readings a coordinate
    assert {len(row) for row in table.column("quantiles").to_pylist()} == {3 * len(LEVELS)}
    frames = np.array(table.column("frames")) * np.array(table.column("frame_samples"))
    assert frames.min() >= 50
    longest = max(
        len(row)
        for column in table.columns
        if pa.types.is_list(column.type)
        for row in column.to_pylist()
        if row is not None
    )
    assert longest <= 72
    assert (SHIPPED / f"{name}.parquet").stat().st_size < 1_000_000


def test_shipped_statistics_say_whose_they_are() -> None:
    note = json.loads((SHIPPED / "wisdm.json").read_text())
    assert note["licence"].startswith("CC BY 4.0")
    assert "Weiss" in note["citation"]
    assert note["people"] == 40
    reference = ReferenceStatistics.load("wisdm")
    assert len(reference.people) == 40
    assert reference.activities == ("jogging", "kicking", "sitting", "stairs", "standing", "walking")
    assert len(reference.profiles) == 239  # 1616 did not jog


def test_errors_say_what_to_do(tmp_path: Path, people: ReferenceStatistics) -> None:
    with pytest.raises(ConfigError, match="wisdm"):
        ReferenceStatistics.load("wisdom")
    with pytest.raises(DataError, match=r"flying.*sitting, walking"):
        people.profiles_of("flying")
    people.save(tmp_path / "old.parquet")
    note = json.loads((tmp_path / "old.json").read_text())
    (tmp_path / "old.json").write_text(json.dumps({**note, "format": 0}))
    with pytest.raises(DataError, match="json"):
        ReferenceStatistics.load(tmp_path / "old.parquet")
    people.save(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match="parquet"):
        ReferenceStatistics.load(tmp_path / "bad.parquet")


def test_profiles_of_an_activity(people: ReferenceStatistics) -> None:
    def who(profile: Profile) -> str:
        return profile.person

    walking = [people.profiles[i] for i in people.profiles_of("walking")]
    assert sorted(map(who, walking)) == ["a", "b"]

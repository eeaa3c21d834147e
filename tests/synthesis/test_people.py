"""People: like those the sources describe, the same for a (seed, device) whoever else is asked for."""

from __future__ import annotations

import numpy as np

from activitymodule.synthesis.people import device_name, people, wearers


def test_people_are_like_those_of_the_sources() -> None:
    who = wearers(np.arange(1, 20_001), 3)
    assert abs(who.age_years.mean() - 45.8) < 1
    assert abs(who.female.mean() - 0.63) < 0.02
    assert abs(who.resting_heart_rate_bpm.mean() - 65.5) < 0.5
    assert abs(who.resting_heart_rate_bpm.std() - 7.7) < 0.5
    assert abs(who.height_cm[who.female].mean() - 161) < 0.5
    assert abs(who.height_cm[~who.female].mean() - 175) < 0.5
    body_mass_index = who.weight_kg / (who.height_cm / 100) ** 2
    assert abs(body_mass_index.mean() - 28.4) < 0.7
    assert (who.age_years >= 18).all()
    assert (who.fitness_met >= 9).all()
    # fitness falls with age
    assert np.corrcoef(who.age_years, who.fitness_met)[0, 1] < -0.4
    np.testing.assert_allclose(who.highest_heart_rate_bpm, 208 - 0.7 * who.age_years)


def test_a_person_does_not_depend_on_the_others() -> None:
    all_ = wearers(np.arange(1, 101), 3)
    some = wearers(np.array([77, 5]), 3)
    assert some.weight_kg.tolist() == [all_.weight_kg[76], all_.weight_kg[4]]
    assert wearers(np.array([77]), 4).weight_kg[0] != all_.weight_kg[76]


def test_the_table_of_people() -> None:
    table = people(12, 1)
    assert table.column_names == [
        "device_id", "age_years", "sex", "height_cm", "weight_kg", "resting_heart_rate_bpm",
    ]  # fmt: skip
    assert table.num_rows == 12
    assert table.column("device_id")[11].as_py() == "watch-00012" == device_name(12)
    assert set(table.column("sex").to_pylist()) == {"female", "male"}
    assert table.equals(people(12, 1))

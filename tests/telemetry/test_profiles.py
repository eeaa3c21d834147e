"""Device profiles: a model is one YAML file, read strictly and found by any of its names."""

from __future__ import annotations

from pathlib import Path

import pytest

from activitymodule.errors import ConfigError
from activitymodule.telemetry.profiles import (
    FOLDER,
    Axes,
    model_name,
    profile_of,
    profiles,
    read_profile,
    read_profiles,
)

SHIPPED = {"apple-watch", "axivity", "core-motion", "empatica-e4", "fitbit-sense", "geneactiv", "wear-os"}
WHOLE = "name: Band 7\naxes: {x: -y, y: x}\nsign: android\nrate_hz: 25\nrange_g: 4\nsource: https://example.org/axes\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_the_shipped_profiles_say_where_their_axes_are_published():
    assert set(profiles()) == SHIPPED == {path.stem for path in FOLDER.glob("*.yaml")}
    assert all(profile.source.startswith("https://") for profile in profiles().values())


def test_a_model_is_found_by_its_id_its_name_and_its_aliases_however_they_are_written():
    e4 = profiles()["empatica-e4"]
    assert {profile_of(name) for name in ("empatica-e4", "Empatica E4", "E4", " EMPATICA_e4 ")} == {e4}
    assert profile_of("E5") is None
    assert profile_of(None) is None


def test_a_name_is_stored_as_the_profiles_id_or_as_it_was_given():
    assert model_name(" Apple Watch ") == "apple-watch"
    assert model_name("Band 7") == "Band 7"
    assert [model_name(bad) for bad in (None, "", "  ", "x" * 65, "a\x00b", "a\nb")] == [None] * 6


def test_a_profile_is_one_file(tmp_path):
    written(tmp_path, "band-7", WHOLE)
    band = read_profiles(tmp_path)["band-7"]
    assert (band.id, band.name, band.rate_hz, band.range_g, band.wrist) == (
        "band-7",
        "Band 7",
        25,
        4,
        "either",
    )
    assert band.axes.order.tolist() == [1, 0, 2]
    assert band.axes.signs.tolist() == [-1, 1, 1]
    assert not band.axes.canonical


@pytest.mark.parametrize(
    ("axes", "handedness"),
    [({}, 1), ({"x": "y", "y": "x"}, -1), ({"x": "-y", "y": "x"}, 1), ({"x": "-x"}, -1)],
)
def test_a_mirrored_frame_is_told_from_a_turned_one(axes, handedness):
    assert Axes(**axes).handedness == handedness


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (WHOLE.replace("{x: -y, y: x}", "{x: y}"), "once each"),
        (WHOLE.replace("-y", "w"), "axes.x"),
        (WHOLE.replace("android", "upside"), "sign"),
        (WHOLE.replace("sign: android\n", ""), "sign"),
        (WHOLE + "rate: 3\n", "rate"),
        (WHOLE.replace("25", "0"), "rate_hz"),
        ("- a list\n", "keys and values"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_what_is_no_profile_is_refused_by_its_file_and_key(tmp_path, text, where):
    with pytest.raises(ConfigError, match=f"(?s)band-7.yaml.*{where}"):
        read_profile(written(tmp_path, "band-7", text))


def test_two_profiles_of_one_name_are_refused(tmp_path):
    written(tmp_path, "band-7", WHOLE)
    written(tmp_path, "band-8", WHOLE)
    with pytest.raises(ConfigError, match="band-7 and band-8"):
        read_profiles(tmp_path)

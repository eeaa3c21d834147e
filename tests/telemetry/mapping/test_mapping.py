"""The mapping language: what is wrong is said by its key, with the nearest one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import project_root
from activitymodule.telemetry import mapping
from activitymodule.telemetry.profiles import profile_of

GOOD = """
name: mine
person: {value: anna}
time: {is: epoch_ms, column: t}
acceleration: {x: ax, y: ay, z: az, unit: g, gravity: included, sign: android}
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("aceleration: {}", "did you mean acceleration?"),
        ("format: {delimitr: ';'}", "format.delimitr; did you mean delimiter?"),
        ("delimiter: ';'", "it belongs to format.delimiter"),
        ("format: {encoding: utf-17}", "no encoding utf-17"),
        ("format: {delimiter: ';;'}", "one character"),
        ("axes: {x: y, y: y}", "once each"),
        ("path: '(?P<persn>s)'", "groups are person"),
        ("path: '(s'", "no regular expression"),
        ("channels: {hart_rate: bpm}", "no channel hart_rate"),
        ("time: {is: local, column: t}", "need a zone"),
        ("time: {is: local, column: t, zone: Europe/Madird}", "no time zone"),
        ("time: {is: rows}", "rate_hz"),
        ("time: {is: epoch_s}", "need `column`"),
        ("time: {is: epoch_m, column: t}", "epoch_ms"),
        ("acceleration: {x: a, y: b, z: c, unit: g, gravity: included}", "acceleration.sign is missing"),
        (
            "acceleration: {x: a, y: b, z: c, unit: counts, gravity: included, sign: android}",
            "need `scale`",
        ),
        ("person: {column: a, value: b}", "`column` or `value`"),
        ("also: [{time: {is: elapsed_s, column: t}, channels: {steps: n}}]", "of the same kind"),
        ("name: a/b", "name is wrong"),
        ("- x", "YAML"),
    ],
)
def test_what_is_wrong_is_said(line: str, said: str) -> None:
    key = line.split(":")[0]
    kept = [one for one in GOOD.strip().splitlines() if not one.startswith(f"{key}:")]
    with pytest.raises(ConfigError) as error:
        mapping.parse("\n".join([*kept, line]))
    assert said in str(error.value)


def test_without_a_person_it_is_not_complete() -> None:
    with pytest.raises(ConfigError, match="who the person is"):
        mapping.parse(GOOD.replace("person: {value: anna}", ""))
    assert mapping.parse(GOOD.replace("person: {value: anna}", "path: '(?P<person>s\\d+)'"))


def test_short_forms() -> None:
    one = mapping.parse(
        GOOD.replace("unit: g", "unit: counts, scale: 1/64")
        + "channels: {heart_rate: bpm}\nlabels: {1: walking, no: null}\n"
    )
    assert one.acceleration is not None
    assert one.acceleration.scale == 1 / 64
    assert one.channels["heart_rate"].column == "bpm"
    assert one.labels == {"1": "walking", "False": None}


def test_an_unknown_mapping_names_the_nearest_that_is_shipped(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean weda"):
        mapping.load("wedda")
    with pytest.raises(ConfigError, match="--guess"):
        mapping.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", mapping.shipped())
def test_shipped_mappings_are_whole_and_their_devices_have_profiles(name: str) -> None:
    one = mapping.load(name)
    assert one.device_model is not None
    assert profile_of(one.device_model) is not None
    assert mapping.parse(one.model_dump_json(by_alias=True, exclude_unset=True)) == one


def test_the_json_schema_is_that_of_the_model() -> None:
    schema = mapping.json_schema()
    assert "2020-12" in str(schema["$schema"])
    assert json.loads(json.dumps(schema)) == schema


def test_the_example_of_the_documents_is_a_mapping() -> None:
    text = (project_root() / "docs" / "recordings.md").read_text(encoding="utf-8")
    one = mapping.parse(text.partition("```yaml\n")[2].partition("```")[0])
    assert one.name == "my-study"
    assert one.acceleration is not None

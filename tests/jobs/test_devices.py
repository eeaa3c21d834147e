"""`activity devices` on a real store; its file is read strictly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from activitymodule.errors import DataError, NotFoundError
from activitymodule.jobs import devices
from activitymodule.workflows.devices import settings_in


@pytest.mark.integration
def test_devices(run, fresh_settings, tmp_path: Path):
    assert "no device model" in run(devices, "list")
    assert (
        json.loads(run(devices, "set", "strap-1", "E4", "--wrist", "left", "--json"))["device_model"]
        == "empatica-e4"
    )
    assert "Band 7" in run(devices, "set", "strap-2", "Band 7")
    file = tmp_path / "watches.csv"
    file.write_text("device_id,device_model\nstrap-2,Apple Watch\nstrap-3,Axivity\n")
    assert "set 2 watches" in run(devices, "import", str(file))
    listed = json.loads(run(devices, "list", "--json"))
    assert [(one["device_id"], one["device_model"], one["source"]) for one in listed["devices"]] == [
        ("strap-1", "empatica-e4", "command"),
        ("strap-2", "apple-watch", "file"),
        ("strap-3", "axivity", "file"),
    ]
    assert "Empatica E4" in run(devices, "list")
    run(devices, "unset", "strap-1")
    with pytest.raises(NotFoundError):
        run(devices, "unset", "strap-1")
    with pytest.raises(DataError):
        run(devices, "set", "strap 1", "E4")


def test_profiles_are_shown():
    def shown(*arguments: str) -> Result:
        return CliRunner().invoke(devices.app, ["profiles", *arguments])

    assert "empatica-e4" in shown().stdout
    (one,) = json.loads(shown("Empatica E4", "--json").stdout)
    assert (one["id"], one["axes"]) == ("empatica-e4", {"x": "-y", "y": "x", "z": "z"})
    assert isinstance(shown("Band 7").exception, NotFoundError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device_id,device_model\n", "no line"),
        ("device_id\na\n", "device_model is missing"),
        ("device_id,device_model,side\n", "side"),
        ("device_id,device_model\na,E4\nb c,E4\n", "line 3"),
        ("device_id,device_model\na\n", "line 2"),
        ("device_id,device_model\na,E4,left\n", "line 2"),
        ("device_id,device_model,wrist\na,E4,up\n", "line 2"),
    ],
)
def test_a_file_of_devices_names_the_line_that_is_wrong(tmp_path: Path, text, message):
    file = tmp_path / "watches.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        settings_in(file)


def test_a_file_of_devices_may_have_a_mark_blanks_and_wrists(tmp_path: Path):
    file = tmp_path / "watches.csv"
    file.write_text(
        "\ufeffdevice_id,device_model,wrist\r\n a ,Empatica E4,Left\r\nb,Band 7,\r\n", encoding="utf-8"
    )
    assert [(one.device_id, one.device_model, one.wrist) for one in settings_in(file)] == [
        ("a", "Empatica E4", "left"),
        ("b", "Band 7", None),
    ]

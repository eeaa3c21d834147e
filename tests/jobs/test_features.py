"""`activity features`: the list, JSON, and the document that is checked."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from activitymodule.errors import ConfigError, DataError
from activitymodule.jobs.features import app
from activitymodule.windows import catalogue

runner = CliRunner()


def run(*arguments: str) -> str:
    result = runner.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_it_lists_every_feature_once():
    names = [line.split()[0] for line in run().splitlines()]
    assert names == list(catalogue.FEATURE_NAMES)


def test_json_of_one_family():
    printed = json.loads(run("--family", "heart", "--json"))
    assert printed["version"] == catalogue.FEATURES_VERSION
    assert {f["family"] for f in printed["features"]} == {"heart"}


def test_an_unknown_family_names_the_known_ones():
    with pytest.raises(ConfigError, match="gravity"):
        run("--family", "nonesuch")


def test_the_document_is_written_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTIVITY_HOME", str(tmp_path))
    with pytest.raises(DataError, match="--markdown"):
        run("--check")
    run("--markdown")
    assert "up to date" in run("--check")
    document = tmp_path / "docs" / "features.md"
    document.write_text(document.read_text() + "x")
    with pytest.raises(DataError):
        run("--check")

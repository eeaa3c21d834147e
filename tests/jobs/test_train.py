"""`activity train` and `activity models`: from readings to a champion that scores."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from typer.testing import CliRunner

from activitymodule.errors import ConfigError
from activitymodule.jobs import train as verb
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.registry.versions import champion, fetch
from activitymodule.workflows.training import load_windows


def test_unknown_families_are_refused():
    result = CliRunner().invoke(verb.app, ["--families", "statistics,feelings", "--evaluate-only"])
    assert isinstance(result.exception, ConfigError)
    assert "feelings" in str(result.exception)


@pytest.mark.integration
def test_the_first_version_serves_and_later_ones_wait(fresh_settings, environment_of, verbs):
    """Synthesised people -> both models -> registry -> loaded -> scores; then everything the verbs do to it."""
    environment = environment_of(fresh_settings)

    def activity(*arguments: str) -> subprocess.CompletedProcess[str]:
        return verbs.run(environment, *arguments)

    small = ("--devices", "6", "--minutes", "10", "--folds", "2")
    done = activity("train", "--json", *small)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert [(o["kind"], o["version"], o["champion"]) for o in outcomes] == [
        ("activity", "1", True),
        ("energy", "1", True),
    ]

    names = fresh_settings.registry
    classifier, regressor = (champion(fresh_settings, name) for name in (names.classifier, names.regressor))
    bundle = BundleBytes.read(
        fetch(fresh_settings, classifier),
        fetch(fresh_settings, regressor),
        version=classifier.version,
        energy_version=regressor.version,
        max_megabytes=fresh_settings.models.max_megabytes,
    )
    model = load_bundle(bundle, fresh_settings.windows)
    (windows,) = load_windows("synthetic", fresh_settings, devices=2, minutes=5)
    scores = model.score(windows.features, windows.people)
    assert np.allclose(scores.probabilities.sum(1), 1, atol=1e-5)
    assert np.isfinite(scores.kcal_per_min).all()

    assert json.loads(activity("train", "--if-missing", "--json", *small).stdout) == []
    later = json.loads(activity("train", "activity", "--json", "--seed", "2", *small).stdout)
    assert [(o["version"], o["champion"]) for o in later] == [("2", False)]
    assert champion(fresh_settings, names.classifier).version == "1"

    listed = json.loads(activity("models", "list", "--json").stdout)
    assert [(row["version"], row["aliases"]) for row in listed if row["name"] == names.classifier] == [
        ("2", []),
        ("1", ["champion"]),
    ]
    assert activity("models", "promote", "latest").returncode == 0
    assert champion(fresh_settings, names.classifier).version == "2"
    assert json.loads(activity("models", "show", "--json").stdout)["version"] == "2"
    assert activity("models", "rollback").returncode == 0
    assert champion(fresh_settings, names.classifier).version == "1"
    # made to serve by whoever trains it: recorded as well
    promoted = activity("train", "energy", "--promote", "--json", "--seed", "2", *small)
    assert [(o["version"], o["champion"]) for o in json.loads(promoted.stdout)] == [("2", True)]
    entry, first = json.loads(activity("models", "history", "--kind", "energy", "--json").stdout)
    assert (entry["act"], entry["version"], entry["before"]) == ("promoted by hand", "2", "1")
    assert entry["why"] == "trained with `activity train --promote`"
    assert (first["act"], first["version"], first["before"]) == ("promoted", "1", None)
    assert len(first["sha256"]) == 64
    assert "the aliases are where" in activity("models", "repair").stdout
    assert activity("models", "check", "2", "--kind", "energy").returncode == 0
    refused = activity("models", "promote", "99")
    assert refused.returncode == 6
    assert "no version 99" in refused.stderr

"""`activity retention`: the table, the JSON, and the codes it ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from own_settings import replaced
from verbs import Verbs

from activitymodule.embedded.processes import any_free_port
from activitymodule.settings import Settings, load


@pytest.mark.integration
def test_a_run_says_what_it_did(
    fresh_settings: Settings, environment_of: Callable[..., Any], verbs: Verbs
) -> None:
    environment = environment_of(fresh_settings)
    shown = verbs.run(environment, "retention", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "predictions, to the lake" in shown.stdout
    assert "for ever" in shown.stdout
    report = json.loads(verbs.run(environment, "retention", "--json").stdout)
    assert not report["dry_run"]
    assert {one["setting"] for one in report["kinds"]} == {
        f"retention.{name}" for name in type(fresh_settings.retention).model_fields
    }
    told = verbs.run(environment, "doctor", "--json")
    names = {one["name"] for one in json.loads(told.stdout)["sizes"]}
    assert {"predictions", "dead_letters", "annotations", "archive of raw messages"} <= names


def test_without_a_store_it_is_one_sentence(environment_of: Callable[..., Any], verbs: Verbs) -> None:
    environment = environment_of(replaced(load({}), store={"port": any_free_port(), "password": "x"}))
    done = verbs.run(environment, "retention", "--dry-run")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1

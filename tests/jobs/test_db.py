"""`activity db` on a real store."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from activitymodule.errors import ConfigError
from activitymodule.jobs import db


@pytest.mark.integration
def test_db(run, fresh_settings):
    assert "up to date" in run(db, "upgrade")
    status = json.loads(run(db, "status", "--json"))
    assert status["revision"] == status["head"]
    assert status["database"] == fresh_settings.store.database
    assert "predictions" in run(db, "status")
    assert json.loads(run(db, "summary", "--json"))["predictions"] == 0
    assert "dead letters" in run(db, "summary")
    assert json.loads(run(db, "query", "SELECT 1 AS a, NULL AS b, now() - now() AS c", "--json")) == [
        {"a": 1, "b": None, "c": 0.0}
    ]
    assert run(db, "query", "SELECT 'x,y' AS a", "--format", "csv") == 'a\n"x,y"\n'
    assert "watch" in run(db, "query", "SELECT 'watch' AS a")
    shown = run(db, "psql", "--print", "--", "-c", "SELECT 1")
    assert f"PGDATABASE={fresh_settings.store.database}" in shown
    assert fresh_settings.store.password.get_secret_value() not in shown
    with pytest.raises(ConfigError):
        run(db, "query", "DROP TABLE predictions")
    with pytest.raises(ConfigError):
        run(db, "query", " ")


@pytest.mark.integration
def test_psql_is_connected(fresh_settings, environment_of):
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "activitymodule",
            "db",
            "psql",
            "--",
            "-Atc",
            "SELECT count(*) FROM predictions",
        ],
        env=environment_of(fresh_settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout) == (0, "0\n"), ended.stderr

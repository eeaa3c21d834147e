"""What becomes MLflow's server: nobody signs in without the password of the settings, nor with a former one."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from werkzeug.security import check_password_hash, generate_password_hash

from activitymodule.registry.server import OPEN, prepared

PASSWORD = {"MLFLOW_AUTH_ADMIN_PASSWORD": "the new one"}


def test_no_password_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--backend-store-uri", f"sqlite:///{tmp_path / 'registry.db'}", "--port", "5000"]
    for environ in ({}, {"MLFLOW_AUTH_ADMIN_PASSWORD": ""}):
        with pytest.raises(ValueError, match=r"init\.sh"):
            prepared(arguments, environ)
    command, environ = prepared([OPEN, *arguments], {})
    assert command[-len(arguments) :] == arguments
    assert OPEN not in command
    assert environ == {}


def test_the_server_signs_in_by_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # a user name or password of the database may have a percent escape
    store = f"sqlite:///{tmp_path}/a%20b.db"
    command, environ = prepared(["--backend-store-uri", store], PASSWORD)
    assert "basic-auth" in command
    assert "the new one" not in " ".join(command)
    assert environ["MLFLOW_FLASK_SERVER_SECRET_KEY"]
    read = configparser.ConfigParser()
    assert read.read(environ["MLFLOW_AUTH_CONFIG_PATH"])
    assert dict(read["mlflow"])["database_uri"] == store
    assert dict(read["mlflow"])["default_permission"] == "NO_PERMISSIONS"
    assert "the new one" not in Path(environ["MLFLOW_AUTH_CONFIG_PATH"]).read_text("utf-8")


def test_a_changed_password_takes_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path / 'registry.db'}"
    engine = create_engine(store)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (username TEXT, password_hash TEXT)"))
        for user in ("admin", "ann"):
            row = {"user": user, "hash": generate_password_hash("the old one")}
            connection.execute(text("INSERT INTO users VALUES (:user, :hash)"), row)
    prepared(["--backend-store-uri", store], PASSWORD)
    with engine.begin() as connection:
        kept = dict(connection.execute(text("SELECT username, password_hash FROM users")).tuples().all())
    assert check_password_hash(kept["admin"], "the new one")
    assert check_password_hash(kept["ann"], "the old one")
    engine.dispose()

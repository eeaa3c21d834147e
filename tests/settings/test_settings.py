"""Settings: layers, validation, and sentences that help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from activitymodule import settings as config
from activitymodule.errors import ConfigError
from activitymodule.jobs.config import values
from activitymodule.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project root of the test's own, without any file yet."""
    monkeypatch.setenv("ACTIVITY_HOME", str(tmp_path))
    return tmp_path


def test_config_yaml_lists_every_key_with_its_default() -> None:
    """The committed file is the documentation of all settings: none is missing, and none differs."""
    given = yaml.safe_load((config.project_root() / "config.yaml").read_text())

    def compare(model: BaseModel, tree: dict[str, Any], path: str) -> None:
        assert set(tree) == set(type(model).model_fields), f"keys of {path or 'the file'}"
        for key, value in tree.items():
            default = getattr(model, key)
            if isinstance(default, BaseModel):
                compare(default, value, f"{path}{key}.")
            elif isinstance(default, tuple):
                assert getattr(type(model).model_validate({key: value}), key) == default, f"{path}{key}"
            else:
                assert value == default, f"{path}{key}"

    compare(Settings(), given, "")


def test_every_key_is_explained() -> None:
    """A key without a comment stands in a section, or beside keys, that explain it; most have their own."""
    lines = (config.project_root() / "config.yaml").read_text().splitlines()
    keys = [line for line in lines if ":" in line and not line.lstrip().startswith("#")]
    assert sum("#" in line for line in keys) > 0.7 * len(keys)


def test_later_layers_win_key_by_key(home: Path) -> None:
    (home / "config.yaml").write_text("kafka: {topic: from-file, partitions: 7}\nwindows: {rate_hz: 20}\n")
    (home / "over.yaml").write_text("kafka: {partitions: 8, retention_hours: 1}\n")
    (home / ".env").write_text("ACTIVITY_KAFKA__RETENTION_HOURS=2\nACTIVITY_STORE__USER=env-file\n")
    environ = {"ACTIVITY_CONFIG": "over.yaml", "ACTIVITY_STORE__USER": "environment"}
    loaded = config.load(environ)
    assert loaded.kafka.topic == "from-file"
    assert loaded.kafka.partitions == 8
    assert loaded.kafka.retention_hours == 2
    assert loaded.store.user == "environment"
    assert loaded.windows.rate_hz == 20
    origins = {value.key: value.origin for value in values(loaded, config.layers(environ))}
    assert origins["kafka.topic"] == "config.yaml"
    assert origins["kafka.partitions"] == "over.yaml"
    assert origins["kafka.retention_hours"] == ".env"
    assert origins["store.user"] == "environment"
    assert origins["store.port"] == "default"


def test_secrets_are_never_shown(home: Path) -> None:
    environ = {
        "ACTIVITY_STORE__PASSWORD": "hush-one",
        "ACTIVITY_STORE__ADMIN_PASSWORD": "hush-two",
        "ACTIVITY_KAFKA__OPTIONS": '{"sasl.jaas.config": "x password=hush-three;", "sasl.mechanism": "PLAIN"}',
    }
    loaded = config.load(environ)
    assert loaded.store.password
    assert loaded.store.password.get_secret_value() == "hush-one"
    shown = str(values(loaded, config.layers(environ))) + repr(loaded.store)
    assert "hush" not in shown
    assert "PLAIN" in shown


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"kafka": {"topci": "x"}}, r"unknown setting kafka\.topci; did you mean kafka\.topic\?"),
        ({"kafak": {}}, "unknown setting kafak"),
        ({"store": {"port": 0}}, "the setting store.port is wrong"),
        ({"store": {"port": "many"}}, "the setting store.port is wrong"),
        ({"windows": {"length_seconds": 10, "slide_seconds": 3}}, "slide_seconds must divide length_seconds"),
        ({"fleet": {"faults": {"gap": 2}}}, "the setting fleet.faults.gap is wrong"),
        *(
            ({"console": {"trusted_proxies": [given]}}, "console.trusted_proxies.* is wrong: .*" + message)
            for given, message in (
                ("*", "is no address"),
                ("proxy.example", "is no address"),
                ("10.0.0.1/8", "host bits"),
                ("0.0.0.0/0", "every address"),
                ("::/0", "every address"),
            )
        ),
    ],
)
def test_wrong_settings_are_named(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.build(tree)


def test_unknown_variables_are_named(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"kafka\.topik; did you mean kafka\.topic"):
        config.load({"ACTIVITY_KAFKA__TOPIK": "x"})
    with pytest.raises(ConfigError, match="ACTIVITY_TOPIC is no setting; write ACTIVITY_SECTION__KEY"):
        config.load({"ACTIVITY_TOPIC": "x"})


@pytest.mark.parametrize("text", ["kafka: [", "- a list\n", "kafka: {topic: x"])
def test_a_broken_file_is_named(home: Path, text: str) -> None:
    (home / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        config.load({})


@pytest.mark.parametrize("name", ["config.yaml", ".env"])
def test_a_file_that_is_not_utf8_is_named(home: Path, name: str) -> None:
    (home / name).write_bytes(b"# \xfc\n")
    with pytest.raises(ConfigError, match=f"{name} is not UTF-8 text"):
        config.load({})


def test_a_byte_order_mark_is_no_part_of_a_name(home: Path) -> None:
    (home / ".env").write_text("ACTIVITY_STORE__USER=zoë\n", encoding="utf-8-sig")
    assert config.load({}).store.user == "zoë"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STORE__PORT", "٣"),
        ("STORE__PORT", "1" * 5000),
        ("STORE__PORT", "1e999"),
        ("FLEET__SPEED", ".inf"),
        ("FLEET__SPEED", ".nan"),
        ("WINDOWS__LENGTH_SECONDS", "9" * 30),
        ("STORE__USER", "[x"),
        ("STORE__USER", "[" * 5000),
        ("STORE__USER", "9999-99-99"),
        ("STORE__USER", "&a [*a]"),
        ("STORE__HOST", "\x07"),
        ("STORE__USER", "\udcff"),
        ("STORE__PASSWORD", "\udcff"),
        ("REGISTRY__URI", "http://["),
        ("REGISTRY__URI", "http://localhost:99999"),
        ("AIRFLOW__URI", "http://localhost:٣x"),
        ("STORE", "x"),
        ("KAFKA__OPTIONS__A__B", "1"),
        ("", "1"),
    ],
)
def test_no_variable_makes_it_crash(home: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        config.load({f"ACTIVITY_{name}": value, "ACTIVITY_KAFKA__OPTIONS__A": "1"})


def test_a_missing_overlay_is_named(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*nowhere\.yaml"):
        config.load({"ACTIVITY_CONFIG": "nowhere.yaml"})


def test_values_of_the_environment_have_types(home: Path) -> None:
    loaded = config.load(
        {
            "ACTIVITY_ARCHIVE__ENABLED": "false",
            "ACTIVITY_WINDOWS__LEAST_COVERAGE": "0.25",
            "ACTIVITY_SPARK__OPTIONS": '{"spark.ui.enabled": "false"}',
            "ACTIVITY_FLEET__FAULTS__GAP": "0.5",
            "ACTIVITY_STORE__PASSWORD": "0123",  # a secret stays the text it is
        }
    )
    assert loaded.archive.enabled is False
    assert loaded.windows.least_coverage == 0.25
    assert loaded.spark.options == {"spark.ui.enabled": "false"}
    assert loaded.fleet.faults.gap == 0.5
    assert loaded.store.password
    assert loaded.store.password.get_secret_value() == "0123"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().kafka.topic = "other"  # type: ignore[misc]


def test_paths_start_at_the_root_and_addresses_stay(home: Path) -> None:
    assert config.resolve("lake") == home / "lake"
    assert config.resolve("/elsewhere") == Path("/elsewhere")
    assert config.location("s3://bucket/lake") == "s3://bucket/lake"
    assert config.location("lake") == str(home / "lake")


def test_env_file_is_read_like_a_shell_would(home: Path) -> None:
    (home / ".env").write_text("# a comment\n\n NAME = value \nQUOTED='a=b'\nnothing\n")
    assert config.read_env_file(home / ".env") == {"NAME": "value", "QUOTED": "a=b"}
    assert config.read_env_file(home / "none") == {}

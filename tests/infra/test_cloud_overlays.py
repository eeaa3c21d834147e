"""The overlays of the clouds: they load, they say where nothing runs by mistake, and Terraform gives what they lack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from activitymodule import settings as config

ROOT = config.project_root()
CLOUDS = {"aws": "s3://", "gcp": "gs://"}
PATTERNED = {"ACTIVITY_CLOUD__BIGQUERY": "bigquery://x/x"}


def overlay(cloud: str, **variables: str) -> config.Settings:
    return config.load({"ACTIVITY_CONFIG": f"config.{cloud}.yaml", **variables})


@pytest.fixture(autouse=True)
def no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with the committed files only: a .env of this checkout would lie over the overlays."""
    for name in ("config.yaml", "config.aws.yaml", "config.gcp.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setenv("ACTIVITY_HOME", str(tmp_path))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_overlay_loads_and_changes_only_what_it_names(cloud: str) -> None:
    loaded = overlay(cloud)
    given = yaml.safe_load((ROOT / f"config.{cloud}.yaml").read_text())
    plain = config.load({})
    for section, keys in type(loaded).model_fields.items():
        assert keys.annotation is not None
        for key in keys.annotation.model_fields:
            value = getattr(getattr(loaded, section), key)
            if key in given.get(section, {}):
                assert value == given[section][key], f"{section}.{key}"
                assert value != getattr(getattr(plain, section), key), f"{section}.{key} differs in nothing"
            else:
                assert value == getattr(getattr(plain, section), key), f"{section}.{key}"


@pytest.mark.parametrize(("cloud", "scheme"), CLOUDS.items())
def test_what_the_deployment_must_name_cannot_exist_until_it_does(cloud: str, scheme: str) -> None:
    """No name here can be resolved, and no bucket can be called so: a forgotten variable ends in an error."""
    loaded = overlay(cloud)
    hosts = (
        loaded.kafka.bootstrap_servers,
        loaded.store.host,
        loaded.registry.uri,
        loaded.airflow.uri,
    )
    for host in hosts:
        assert re.search(r"\.invalid(:\d+)?$", host), host
    for place in (loaded.spark.checkpoints, loaded.archive.folder, loaded.lake.folder):
        assert place.startswith(scheme)
        assert re.search(r"[A-Z]", place), f"{place} could be a bucket"
        assert config.location(place) == place


@pytest.mark.parametrize("cloud", CLOUDS)
def test_terraform_gives_every_value_the_overlay_leaves_open(cloud: str) -> None:
    """`terraform output settings` and the overlay name the same variables, and each of them is a setting."""
    left_open = {
        f"ACTIVITY_{section}__{key}".upper()
        for section, keys in yaml.safe_load((ROOT / f"config.{cloud}.yaml").read_text()).items()
        for key, value in keys.items()
        if isinstance(value, str) and ("SET_ACTIVITY" in value or ".invalid" in value)
    }
    services = (ROOT / "infra" / "terraform" / cloud / "services.tf").read_text()
    block = re.search(r"^  settings = \{\n(.*?)^  \}", services, re.S | re.M)
    assert block
    given = set(re.findall(r"^\s+(ACTIVITY_\w+__\w+)\s+=", block[1], re.M))
    assert left_open <= given
    comment = (ROOT / f"config.{cloud}.yaml").read_text().split("\nkafka:")[0]
    assert left_open <= set(re.findall(r"ACTIVITY_\w+__\w+", comment)), "the first lines name them"
    lists = set(re.findall(r"^\s+(ACTIVITY_\w+__\w+)\s+= jsonencode\(", block[1], re.M))
    # a name that is no setting would be an error, and so would one text for a list
    overlay(
        cloud,
        **{name: '["x"]' if name in lists else PATTERNED.get(name, "x") for name in given},
    )


@pytest.mark.parametrize("cloud", CLOUDS)
def test_passwords_are_sent_by_tls_only(cloud: str) -> None:
    loaded = overlay(cloud)
    assert loaded.store.sslmode == "require"
    assert loaded.kafka.options["security.protocol"] == "SASL_SSL"
    assert loaded.registry.uri.startswith("https://")

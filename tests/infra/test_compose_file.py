"""docker-compose.yml as a text: what holds for every service, without an engine. tests/docker runs it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from activitymodule import settings as config

ROOT = config.project_root()
TEXT = (ROOT / "docker-compose.yml").read_text()
FILE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
MEGABYTES = {"m": 1, "g": 1024}
PROFILES = {"core", "orchestration", "observability"}


def once(service: dict[str, Any]) -> bool:
    return str(service["restart"]).startswith("on-failure")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_supervised_bounded_and_local(name: str) -> None:
    service = SERVICES[name]
    assert set(service["profiles"]) <= PROFILES
    assert service["init"] is True
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]
    # one-shot services are waited for; all others have a health check
    assert once(service) or service["healthcheck"]["test"]
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    if service["image"].startswith("${ACTIVITY_"):
        assert service["cap_drop"] == ["ALL"]
    else:
        assert re.fullmatch(r"[a-z./-]+:v?\d[\d.]*", service["image"]), "pinned"


def test_what_is_done_once_is_waited_for() -> None:
    awaited = {
        other
        for service in SERVICES.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert awaited == {name for name, service in SERVICES.items() if once(service)}


def test_memory_fits_sixteen_gigabytes() -> None:
    total = sum(
        int(service["mem_limit"][:-1])
        * MEGABYTES[service["mem_limit"][-1]]
        * service.get("deploy", {}).get("replicas", 1)
        for service in SERVICES.values()
        if not once(service)
    )
    assert total <= 16 * 1024


def test_every_secret_is_made_by_init() -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?", TEXT))
    script = (ROOT / "init.sh").read_text()
    assert wanted
    assert [name for name in wanted if not re.search(rf"\b{name}\b", script)] == []
    # a secret that is required in one place may be used without :? in others
    assert set(re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY))\}", TEXT)) <= wanted


def test_every_variable_of_ours_is_a_setting() -> None:
    given = {
        name
        for service in SERVICES.values()
        for name in service.get("environment", {})
        if name.startswith("ACTIVITY_") and "__" in name
    }
    assert len(given) > 5
    for name in given:
        section, key = name.removeprefix("ACTIVITY_").lower().split("__")
        assert key in type(getattr(config.Settings(), section)).model_fields, name


def test_the_overlay_of_the_services_loads() -> None:
    loaded = config.load({"ACTIVITY_CONFIG": "infra/docker/config.compose.yaml"})
    assert loaded.store.host in SERVICES
    assert loaded.kafka.bootstrap_servers.partition(":")[0] in SERVICES
    assert re.fullmatch(r"spark://spark-master:\d+", loaded.spark.master)
    assert loaded.registry.uri.split("/")[2].partition(":")[0] in SERVICES
    assert loaded.airflow.uri.split("/")[2].partition(":")[0] in SERVICES

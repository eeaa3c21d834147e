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
        assert re.fullmatch(r"[a-z./-]+:v?\d[\d.]*(@sha256:[0-9a-f]{64})?", service["image"]), "pinned"


# Who needs a server that asks nobody for a password. The store serves all; of the registry it is the database.
NEEDED_BY = {
    "broker": {"topics", "spark-worker", "scorer", "generator", "events", "console", "kafka-ui"},
    "registry": {"champion", "scorer", "console", "airflow-scheduler", "store"},
    "spark-master": {"spark-worker", "scorer", "generator", "prometheus"},
}


def in_reach_of(name: str) -> set[str]:
    own = set(SERVICES[name]["networks"])
    return {other for other, service in SERVICES.items() if own & set(service["networks"])} - {name}


@pytest.mark.parametrize("server", NEEDED_BY)
def test_a_server_is_in_reach_of_who_needs_it(server: str) -> None:
    assert in_reach_of(server) == NEEDED_BY[server]


def test_a_service_is_in_reach_of_what_it_names() -> None:
    """Every address of another service that a service is given, or waits for while that runs."""
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(
        FILE["networks"]
    )
    for name, service in SERVICES.items():
        given = f"{service.get('command', '')} {service.get('environment', '')}"
        named = {other for other in SERVICES if re.search(rf"(?<![\w-]){other}:\d", given)}
        assert named - {name} <= in_reach_of(name), name


@pytest.mark.parametrize("part", ["spark-worker", "scorer", "generator"])
def test_spark_listens_in_its_own_network(part: str) -> None:
    command = SERVICES[part]["command"]
    words = command.split() if isinstance(command, str) else command
    assert words[:2] == ["bash", "infra/docker/spark-network.sh"]
    assert "spark" in SERVICES[part]["networks"]


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

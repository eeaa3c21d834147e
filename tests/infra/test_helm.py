"""The Helm chart: what it renders is of the Kubernetes API, says what docker-compose.yml says, and holds no secret."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from kubernetes_types import faults

from activitymodule import settings as config

ROOT = config.project_root()
CHART = ROOT / "infra" / "helm"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ADDRESSES = (
    "settings.kafka.bootstrap_servers=kafka-1.example.org:9092\\,kafka-2.example.org:9093",
    "settings.store.host=store.example.org",
)
CASES = {
    "a claim": (),
    "object storage": (
        "storage.bucket=s3://bucket/prefix/",
        "secret.kafkaOptions=kafka",
        "image.tag=1.2.3",
    ),
    "an ingress, another registry, no scaling": (
        "console.ingress.enabled=true",
        "console.ingress.host=activity.example.org",
        "console.ingress.tlsSecret=tls",
        "console.autoscaling.enabled=false",
        "registry.enabled=false",
        "settings.registry.uri=https://mlflow.example.org",
        "secret.oidc=oidc",
        "settings.spark.options.spark\\.executor\\.heartbeatInterval=20s",
    ),
    "own watches": ("generator.enabled=false", "networkPolicy.enabled=false", "storage.claim.existing=mine"),
}
# service of the chart -> that of docker-compose.yml
SAME = {
    "console": "console",
    "events": "events",
    "scorer": "scorer",
    "generator": "generator",
    "topics": "topics",
    "champion": "champion",
}
DRIVERS = {"scorer", "generator"}


@pytest.fixture(scope="session")
def helm() -> str:
    of_go = Path(os.environ.get("GOPATH") or Path.home() / "go") / "bin"
    program = os.environ.get("HELM") or shutil.which("helm") or shutil.which("helm", path=str(of_go))
    if program is None:
        pytest.skip("there is no helm here; go install helm.sh/helm/v4/cmd/helm@v4.3.1, or name it in HELM")
    return program


def run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False)


@lru_cache
def render(helm: str, case: str) -> tuple[dict[str, Any], ...]:
    given = [part for value in (*ADDRESSES, *CASES[case]) for part in ("--set", value)]
    done = run(helm, "template", "activity", str(CHART), "--namespace", "wear", *given)
    assert done.returncode == 0, done.stderr
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


@pytest.fixture(params=CASES)
def manifests(helm: str, request: pytest.FixtureRequest) -> tuple[dict[str, Any], ...]:
    return render(helm, request.param)


def executors(manifests: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    maps = [one for one in manifests if one["kind"] == "ConfigMap"]
    return [yaml.safe_load(one["data"]["executor.yaml"]) for one in maps]


def pods(manifests: tuple[dict[str, Any], ...]) -> Iterator[dict[str, Any]]:
    """Each pod that is made, of executors too: its labels under metadata, and its spec."""
    yield from (one["spec"]["template"] for one in manifests if "template" in one.get("spec", {}))
    yield from executors(manifests)


def containers(manifests: tuple[dict[str, Any], ...]) -> Iterator[dict[str, Any]]:
    for pod in pods(manifests):
        yield from (*pod["spec"]["containers"], *pod["spec"].get("initContainers", []))


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Its variables as Kubernetes gives them, with something in place of secrets."""
    found: dict[str, str] = {}
    for one in container.get("env", []):
        secret = one.get("valueFrom", {}).get("secretKeyRef")
        value = one.get(
            "value", "{security.protocol: SASL_SSL}" if secret and secret["key"] == "options" else "x"
        )
        found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], value)
    return found


def test_the_chart_is_without_fault(helm: str) -> None:
    given = [part for value in ADDRESSES for part in ("--set", value)]
    done = run(helm, "lint", "--strict", str(CHART), *given)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_manifest_is_of_the_kubernetes_api(manifests: tuple[dict[str, Any], ...]) -> None:
    found = [fault for one in manifests for fault in faults(one)]
    # of the template of executors Spark names the image
    found += [fault for one in executors(manifests) for fault in faults(one)]
    assert found == []
    assert len({(one["kind"], one["metadata"]["name"]) for one in manifests}) == len(manifests)


def test_the_check_by_types_can_fail() -> None:
    port = {"port": 80, "targetPort": "http"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [port]}}
    assert faults(service) == []
    for wrong in ({**port, "por": 1}, {"targetPort": "http"}, {**port, "port": "80"}):
        assert faults({**service, "spec": {"ports": [wrong]}})


def test_a_container_has_no_rights_and_bounded_memory(manifests: tuple[dict[str, Any], ...]) -> None:
    for pod in pods(manifests):
        spec = pod["spec"]
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is (component in DRIVERS), component
        for container in (*spec["containers"], *spec.get("initContainers", [])):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            # Spark says how much an executor gets
            if container["name"] != "executor":
                assert container["resources"]["requests"].keys() == {"cpu", "memory"}
                assert container["resources"]["limits"]["memory"]
            if "ports" in container:
                assert container["readinessProbe"]
                assert container["livenessProbe"]


def test_a_secret_is_named_and_never_rendered(manifests: tuple[dict[str, Any], ...]) -> None:
    assert "Secret" not in {one["kind"] for one in manifests}
    for container in containers(manifests):
        for one in container.get("env", []):
            if re.search("PASSWORD|SECRET|KEY", one["name"]):
                assert one.keys() == {"name", "valueFrom"}, one


def test_each_variable_is_a_setting_with_a_value_of_its_kind(manifests: tuple[dict[str, Any], ...]) -> None:
    image = {"ACTIVITY_CONFIG": "infra/docker/config.compose.yaml"}
    for container in containers(manifests):
        given = environment(container)
        if container["name"] in {"folders", "registry", "executor"}:
            continue
        loaded = config.load({**image, **given})
        assert loaded.kafka.bootstrap_servers == "kafka-1.example.org:9092,kafka-2.example.org:9093"
        assert loaded.store.host == "store.example.org"
        assert loaded.store.sslmode == "require"
        assert loaded.spark.options["spark.ui.enabled"] == "true", "of the image's own settings"
        if container["name"] in DRIVERS:
            assert loaded.spark.master.startswith("k8s://")
            host = loaded.spark.options["spark.driver.host"]
            assert host == f"x.activity-{container['name']}.x.svc"
        if "ACTIVITY_KAFKA__OPTIONS" in given:  # the case with object storage
            assert loaded.kafka.options == {"security.protocol": "SASL_SSL"}
            assert loaded.spark.checkpoints == "s3://bucket/prefix/checkpoints"
            assert (loaded.lake.folder, loaded.archive.folder) == (
                "s3://bucket/prefix/lake",
                "s3://bucket/prefix/lake/archive",
            )


def test_a_container_does_what_the_service_of_compose_does(manifests: tuple[dict[str, Any], ...]) -> None:
    """The same command and the same role of PostgreSQL, with the same secrets."""
    for container in containers(manifests):
        if container["name"] not in SAME:
            continue
        service = COMPOSE[SAME[container["name"]]]
        command = service["command"]
        words = command.split() if isinstance(command, str) else list(command)
        # the network of spark-master is compose's
        if words[1] == "infra/docker/spark-network.sh":
            words = ["bash", *words[2:]]
        assert container["args"] == [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", word) for word in words]
        own = {one["name"]: one for one in container["env"]}
        role = service.get("environment", {}).get("ACTIVITY_STORE__USER", "activity")
        assert own["ACTIVITY_STORE__USER"]["value"] == f'"{role}"'
        wanted = {
            name: re.sub(r"^\$\{(\w+).*", r"\1", value)
            for name, value in service.get("environment", {}).items()
            if re.search("PASSWORD|SECRET", name)
        }
        references = {name: one.get("valueFrom", {}).get("secretKeyRef", {}) for name, one in own.items()}
        named = {name: ref["key"] for name, ref in references.items() if ref.get("name") == "activity"}
        assert named == wanted, container["name"]


def test_what_an_object_names_is_there(manifests: tuple[dict[str, Any], ...]) -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    labels = [pod["metadata"]["labels"].items() for pod in pods(manifests)]
    for one in manifests:
        spec = one.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        wanted = selector.get("matchLabels", {} if "matchExpressions" in selector else selector).items()
        assert any(wanted <= pod for pod in labels), one["metadata"]["name"]
        if one["kind"] == "StatefulSet":
            assert ("Service", spec["serviceName"]) in names
        if one["kind"] == "HorizontalPodAutoscaler":
            assert ("Deployment", spec["scaleTargetRef"]["name"]) in names
    for pod in pods(manifests):
        account = pod["spec"]["serviceAccountName"]
        assert account == "default" or ("ServiceAccount", account) in names
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName", "mine")
            assert claim == "mine" or ("PersistentVolumeClaim", claim) in names
            assert "configMap" not in volume or ("ConfigMap", volume["configMap"]["name"]) in names
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()


def test_a_driver_may_make_pods_and_nothing_else(manifests: tuple[dict[str, Any], ...]) -> None:
    roles = [one for one in manifests if one["kind"] == "Role"]
    bindings = [one for one in manifests if one["kind"] == "RoleBinding"]
    assert roles
    for one in roles:
        assert [(rule["apiGroups"], rule["resources"]) for rule in one["rules"]] == [([""], ["pods"])]
    assert {one["subjects"][0]["name"] for one in bindings} <= {f"activity-{name}" for name in DRIVERS}
    assert not {"ClusterRole", "ClusterRoleBinding"} & {one["kind"] for one in manifests}


@pytest.mark.parametrize(
    "wrong",
    [
        "settings.store.password=x",
        "settings.console.secret=x",
        "scorer.settings.registry.password=x",
        "settings.kafka.bootstrap_servers=kafka",
        "settings.store.host=",
        "storage.bucket=/data",
        "registry.enabled=false",
        "console.ingress.enabled=true",
        "consol.replicas=2",
        "scorer.executors.memory=1Gi",
    ],
)
def test_a_wrong_value_is_refused(helm: str, wrong: str) -> None:
    given = [part for value in (*ADDRESSES, wrong) for part in ("--set", value)]
    done = run(helm, "template", "activity", str(CHART), *given)
    assert done.returncode != 0
    assert "schema" in done.stderr or "specification" in done.stderr


# ---- without helm


def test_the_values_lack_addresses_and_nothing_else() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    Draft7Validator.check_schema(schema)
    wrong = {".".join(map(str, fault.absolute_path)) for fault in Draft7Validator(schema).iter_errors(VALUES)}
    assert wrong == {"settings.kafka.bootstrap_servers", "settings.store.host"}


def test_each_setting_of_the_values_and_templates_is_one() -> None:
    given = {(section, key) for section, keys in VALUES["settings"].items() for key in keys}
    for stream in DRIVERS:
        given |= {(section, key) for section, keys in VALUES[stream]["settings"].items() for key in keys}
    text = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    given |= {(a.lower(), b.lower()) for a, b in re.findall(r"ACTIVITY_([A-Z]+)__([A-Z_]+)", text)}
    assert len(given) > 10
    for section, key in given:
        assert key in type(getattr(config.Settings(), section)).model_fields, f"{section}.{key}"


def test_each_secret_is_made_by_init() -> None:
    text = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    script = (ROOT / "init.sh").read_text()
    keys = set(re.findall(r'"((?:STORE|ACTIVITY)_\w*(?:PASSWORD|SECRET))"', text))
    assert len(keys) > 5
    values = (CHART / "values.yaml").read_text()
    for key in keys:
        assert re.search(rf"\b{key}\b", script), key
        assert re.search(rf"\b{key}\b", values), f"{key} stands in the comment of values.yaml"


def test_an_executor_starts_with_what_spark_says(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    java.chmod(0o755)
    variables = {
        "SPARK_JAVA_OPT_0": "-Dspark.driver.port=7078",
        "SPARK_JAVA_OPT_1": "-Dtwo=a b",
        "SPARK_JAVA_OPT_10": "-Dten=10",
        "SPARK_JAVA_OPT_2": "-Dthree=3",
        "SPARK_EXECUTOR_MEMORY": "768m",
        "SPARK_CLASSPATH": "/jars/*",
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
        "SPARK_EXECUTOR_ID": "3",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.7",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "exec-3",
    }
    script = ROOT / "infra" / "docker" / "spark-executor.sh"
    home = {"JAVA_HOME": str(tmp_path), "ACTIVITY_HOME": "/opt/activity"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(script), "executor"],
        env={**variables, **home, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    given = done.stdout.splitlines()
    assert given[:6] == [
        "-Dspark.driver.port=7078",
        "-Dtwo=a b",
        "-Dthree=3",
        "-Dten=10",
        "-Xms768m",
        "-Xmx768m",
    ]
    classes = given[given.index("-cp") + 1].split(":")
    assert classes[:2] == ["/opt/activity/infra/docker/spark", "/jars/*"]
    assert classes[2].endswith("/pyspark/jars/*")
    assert given[given.index("-cp") + 2] == "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
    assert given[given.index("--driver-url") + 1] == variables["SPARK_DRIVER_URL"]
    assert given[given.index("--podName") + 1] == "exec-3"

"""What others may move is pinned: actions by commit, images by version and, where Renovate runs, by digest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from activitymodule.settings import project_root

ROOT = project_root()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
DOCKERFILES = sorted((ROOT / "infra" / "docker").glob("*Dockerfile"))
VERSIONED = r"[\w./-]+:v?\d[\w.-]*(@sha256:[0-9a-f]{64})?"


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_an_action_is_named_by_its_commit(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    used += [job["uses"] for job in workflow["jobs"].values() if "uses" in job]
    assert used
    for action in used:
        assert action.startswith("./") or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
    for job in workflow["jobs"].values():
        for service in job.get("services", {}).values():
            assert re.fullmatch(VERSIONED, service["image"])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_is_built_from_a_version(path: Path) -> None:
    stages: set[str] = set()
    for image, stage in re.findall(r"^FROM (\S+)(?: AS (\S+))?$", path.read_text(), re.M):
        # EMR's own is given by the caller, as AWS names it
        assert image in stages or image == "${EMR_IMAGE}" or re.fullmatch(VERSIONED, image), image
        stages.add(stage)


def test_the_devcontainer_is_of_a_version() -> None:
    file = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert re.fullmatch(VERSIONED, file["image"])


def test_renovate_pins_digests_wherever_images_and_actions_are_named() -> None:
    renovate = json.loads((ROOT / "renovate.json").read_text())
    assert {"helpers:pinGitHubActionDigests", "docker:pinDigests"} <= set(renovate["extends"])
    assert {"dockerfile", "docker-compose", "devcontainer", "github-actions"} <= set(
        renovate["enabledManagers"]
    )

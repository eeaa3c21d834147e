"""What `make release` writes: the changelog's section, the bill of materials. The script is no part of the package."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n- A thing.\n\n## [0.1.0]\n### Added\n- The first.\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_was_unreleased_gets_a_section_of_its_own(script: ModuleType):
    made = script.with_section(CHANGELOG, "0.2.0", "2026-12-01")
    assert made.index("## [Unreleased]") < made.index("## [0.2.0] - 2026-12-01") < made.index("- A thing.")
    assert script.section(made, "0.2.0") == "### Added\n- A thing.\n"
    assert script.section(made, "0.1.0") == "### Added\n- The first.\n"
    for wrong in (made, CHANGELOG.replace("Unreleased", "Later")):
        with pytest.raises(script.ReleaseError):
            script.with_section(wrong, "0.2.0", "2026-12-01")


def test_the_bill_of_materials_has_every_package_and_jar(script: ModuleType):
    lock, jars = (ROOT / "requirements.lock").read_text(), (ROOT / "jars.lock").read_text()
    made = script.bill_of_materials(lock, jars, "0.2.0")
    purls = [one["purl"] for one in made["components"]]
    assert len(purls) == len(set(purls))
    assert sum(purl.startswith("pkg:pypi/") for purl in purls) == len(
        {line.split()[0] for line in lock.splitlines() if re.match(r"\S+==", line)}
    )
    assert all(purl.startswith(("pkg:pypi/", "pkg:maven/")) for purl in purls)
    assert len(set(re.findall(r"^[0-9a-f]{64}", jars, re.MULTILINE))) == len(
        {one["hashes"][0]["content"] for one in made["components"] if "hashes" in one}
    )
    assert json.dumps(made) == json.dumps(script.bill_of_materials(lock, jars, "0.2.0"))


def test_the_workflow_builds_the_images_that_a_release_names(script: ModuleType):
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    compose = (ROOT / "docker-compose.yml").read_text()
    assert f"for image in {' '.join(script.IMAGES)}; do" in workflow
    assert set(re.findall(r":-(activity[a-z-]*):latest", compose)) == set(script.IMAGES)


def test_the_source_archive_holds_what_the_wheel_takes_from_it():
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    held = [path.removeprefix("/") for path in hatch["sdist"]["include"]]
    for taken in (*hatch["wheel"]["force-include"], *hatch["wheel"]["packages"]):
        assert any(taken == one or taken.startswith(f"{one}/") for one in held), taken


def test_a_release_that_fails_leaves_the_checkout_as_it_was(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written = {
        "CHANGELOG.md": CHANGELOG,
        "activitymodule/__init__.py": '__version__ = "0.1.0"\n',
        "pyproject.toml": 'version = "0.1.0"\n',
        ".gitignore": ".venv\n",
    }
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for name, code in (("activity", 0), ("uv", 2)):  # the check passes, and then the wheel cannot be built
        command = tmp_path / ".venv" / "bin" / name
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f"#!/bin/sh\nexit {code}\n")
        command.chmod(0o755)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    git = ("git", "-c", "user.name=anna", "-c", "user.email=anna@example.org")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "first")):
        script.run(*git, *arguments)
    with pytest.raises(script.ReleaseError, match="uv build"):
        script.release("0.2.0", "", images=False)
    assert {name: (tmp_path / name).read_text() for name in written} == written
    assert script.run("git", "status", "--porcelain") == script.run("git", "tag", "--list") == ""

"""Make a release: check the model that serves, build wheel and images, write the changelog's section and the SBOM, tag.

`make release VERSION=0.2.0` calls it in a clean checkout with the embedded stack up. Nothing is pushed: the tag's push
starts the workflow that pushes the images. BECAUSE='reason' releases although the release check of the champion fails;
the reason stands in the tag's message. `--artifacts` only builds the wheel and the SBOM into dist/.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHANGELOG, INIT, PYPROJECT = "CHANGELOG.md", "activitymodule/__init__.py", "pyproject.toml"
CHANGED = (CHANGELOG, INIT, PYPROJECT)
UNRELEASED = "## [Unreleased]\n"
IMAGES = ("activity", "activity-console", "activity-airflow")
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
_JAR = re.compile(r"^# (\S+):(\S+):(\S+)\n([0-9a-f]{64})  (\S+)$", re.MULTILINE)


class ReleaseError(Exception):
    """Why there is no release, in a sentence."""


def with_section(changelog: str, version: str, day: str) -> str:
    """The changelog with what was unreleased under a heading of its own. Raises ReleaseError where nothing was."""
    before, found, after = changelog.partition(UNRELEASED)
    entries = re.split(r"^## \[", after, maxsplit=1, flags=re.MULTILINE)[0]
    if not found or not re.search(r"^- ", entries, re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} has no entry under Unreleased")
    if f"## [{version}]" in changelog:
        raise ReleaseError(f"{CHANGELOG} has a section {version} already")
    return f"{before}{UNRELEASED}\n## [{version}] - {day}\n{after}"


def section(changelog: str, version: str) -> str:
    """The entries of a version."""
    found = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise ReleaseError(f"{CHANGELOG} has no section {version}")
    return found[1].strip() + "\n"


def bill_of_materials(lock: str, jars: str, version: str) -> dict[str, object]:
    """The SBOM (CycloneDX 1.5): each pinned package of Python, and each jar with its SHA-256.

    The same inputs give the same document.
    """
    packages = [
        {
            "type": "library",
            "name": name,
            "version": number,
            "purl": f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{number}",
        }
        for name, number in _PINNED.findall(lock)
    ]
    seen: dict[str, dict[str, object]] = {}
    for group, name, number, sha256, _ in _JAR.findall(jars):
        purl = f"pkg:maven/{group}/{name}@{number}"
        seen[purl] = {
            "type": "library",
            "group": group,
            "name": name,
            "version": number,
            "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": sha256}],
        }
    components = [{"bom-ref": one["purl"], **one} for one in [*packages, *seen.values()]]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([version, components], sort_keys=True))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "activitymodule", "version": version}},
        "components": components,
    }


def run(*command: str) -> str:
    """The output of a command of the checkout; its errors are shown. Raises ReleaseError where it fails."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.stdout.write(done.stdout)
        raise ReleaseError(f"`{' '.join(command)}` ended with code {done.returncode}")
    return done.stdout.strip()


def present_version() -> str:
    """The version that the code has."""
    found = re.search(r'__version__ = "(.+)"', (ROOT / INIT).read_text())
    assert found is not None
    return found[1]


def build(version: str) -> Path:
    """Wheel, source archive and SBOM in dist/, which is emptied first."""
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    run(str(ROOT / ".venv/bin/uv"), "build", "--quiet", "--out-dir", str(folder), ".")
    found = bill_of_materials(
        (ROOT / "requirements.lock").read_text(), (ROOT / "jars.lock").read_text(), version
    )
    (folder / "sbom.cdx.json").write_text(json.dumps(found, indent=1) + "\n")
    return folder


def set_version(version: str) -> None:
    """The version in the code, the package and the changelog."""
    for path, pattern in ((INIT, r'__version__ = ".+"'), (PYPROJECT, r'(?m)^version = ".+"')):
        text = (ROOT / path).read_text()
        line = re.search(pattern, text)
        assert line is not None
        (ROOT / path).write_text(text.replace(line[0], re.sub(r'".+"', f'"{version}"', line[0]), 1))
    changelog = ROOT / CHANGELOG
    changelog.write_text(with_section(changelog.read_text(), version, f"{datetime.now(UTC):%Y-%m-%d}"))


def check_champion(because: str) -> str:
    """The lines of the release check. Raises ReleaseError where it fails, and there is no reason."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/activity"), "release", "check"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    if done.returncode and not because:
        raise ReleaseError(
            "the model that serves fails the release check; BECAUSE='reason' releases all the same"
        )
    return done.stdout


def release(version: str, because: str, images: bool) -> None:
    """All of it. Raises ReleaseError, and then the checkout is as it was; dist/ stays to be looked at."""
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version such as 0.2.0")
    if run("git", "status", "--porcelain"):
        raise ReleaseError("the checkout has changes; commit them first")
    if run("git", "tag", "--list", f"v{version}"):
        raise ReleaseError(f"there is a tag v{version} already")
    with_section((ROOT / CHANGELOG).read_text(), version, "")  # fail before anything is built
    checked = check_champion(because)
    try:
        set_version(version)
        folder = build(version)
        if images:
            run("./init.sh", "--docker")
            for name in IMAGES:
                run("docker", "tag", f"{name}:latest", f"{name}:{version}")
    except BaseException:
        run("git", "checkout", "--quiet", "--", *CHANGED)
        raise
    run("git", "commit", "--quiet", "--all", "--message", f"release: {version}")
    told = section((ROOT / CHANGELOG).read_text(), version) + (
        f"\nReleased because: {because}\n" if because else ""
    )
    # whitespace: lines of the changelog that begin with # are no comments
    run("git", "tag", "--annotate", "--cleanup=whitespace", f"v{version}", "--message", f"{told}\n{checked}")
    sys.stdout.write(
        f"{', '.join(sorted(path.name for path in folder.iterdir()))} are in {folder}\n"
        f"v{version} is tagged; `git push origin main v{version}` publishes it\n"
    )


def main() -> None:
    """Command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("version", nargs="?", default="")
    options.add_argument("--because", default="", help="why, although the release check fails")
    options.add_argument(
        "--artifacts", action="store_true", help="only wheel and SBOM, of the present version"
    )
    options.add_argument(
        "--notes", action="store_true", help="only print the changelog of the present version"
    )
    options.add_argument("--no-images", action="store_true", help="where there is no Docker engine")
    given = options.parse_args()
    try:
        if given.notes:
            sys.stdout.write(section((ROOT / CHANGELOG).read_text(), present_version()))
        elif given.artifacts:
            sys.stdout.write(f"{build(present_version())}\n")
        else:
            release(given.version, given.because, not given.no_images)
    except ReleaseError as error:
        sys.exit(f"release: {error}")


if __name__ == "__main__":
    main()

"""Fetches the jars that jars.lock lists into jars/: Kafka's broker, and Spark's connector to Kafka.

jars.lock names each file with its SHA-256 in the form `sha256sum -c` reads, after a comment with its Maven
coordinate. Files are downloaded into a folder beside the target, which takes the target's place when every hash is
right. init.sh runs `python -m activitymodule.streaming.jars` once packages are installed. With --lock it resolves the
coordinates below by Ivy, which pyspark brings, and writes the list anew; with --spark42 it fetches the connector of
Spark 4.2, with --s3 Hadoop's file system for S3, for a Spark that is not EMR's.

Files come from Maven Central, at the address that Ivy has; MAVEN_URL names another repository, IVYSETTINGS a settings
file for Ivy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from activitymodule import files
from activitymodule.errors import ActivityError, DataError, ServiceUnavailableError
from activitymodule.streaming.java import find_java

# A coordinate that is named here replaces the version that another one depends on.
# The connector's version is not pyspark's: 4.0.0 is the newest of its line whose token provider is published too.
# kafka-clients: 3.9.0, which the connector asks for, has CVE-2026-35554 and CVE-2025-27817.
# The local file system of com.globalmentor forks no process for each file it writes, as Hadoop's own does.
# Kafka's jars bring no logging backend; without one the broker logs nothing.
# hadoop-aws: of the version of Hadoop that pyspark brings. It asks for all of AWS's SDK in one file of 500 MB; the
# modules that it uses are named in its place.
_BARE_FILE_SYSTEM = ("com.globalmentor", "hadoop-bare-naked-local-fs", "0.1.0")
_AWS = "2.29.52"  # as Hadoop 3.4.2 has it
COORDINATES = {
    "spark": (
        ("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.0.0"),
        ("org.apache.kafka", "kafka-clients", "3.9.2"),
        _BARE_FILE_SYSTEM,
    ),
    "kafka": (
        ("org.apache.kafka", "kafka_2.13", "4.1.2"),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.3"),
    ),
    "spark42": (
        ("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.2.0"),
        _BARE_FILE_SYSTEM,
    ),
    "s3": (
        ("org.apache.hadoop", "hadoop-aws", "3.4.1"),
        ("software.amazon.awssdk", "s3-transfer-manager", _AWS),
        ("software.amazon.awssdk", "sts", _AWS),
    ),
}
_ALONE = {"hadoop-aws"}
"""Artifacts without what they depend on."""
NEEDED = ("kafka", "spark")
_ROOT_IN_IVY = re.compile(rb"https://[\w.-]+/maven2/")
TRIES = 3
_THREADS = 8
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Jar:
    """A line of jars.lock: the file under jars/, its SHA-256, and its path in a Maven repository."""

    name: str
    digest: str
    path: str

    @property
    def folder(self) -> str:
        """The folder under jars/."""
        return self.name.split("/")[0]


def _quiet(_: str) -> None:
    """The default for progress messages: none."""


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lock(path: Path) -> list[Jar]:
    """The jars that a lock file lists; DataError where it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); restore it with `git checkout`"
        ) from error
    jars, where = [], ""
    for line in filter(str.strip, lines):
        if line.startswith("#"):
            group, artifact, version = line.removeprefix("#").strip().split(":")
            where = f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar"
        else:
            digest, name = line.split()
            jars.append(Jar(name, digest, where))
    return jars


def wrong(root: Path, folders: Sequence[str] = NEEDED) -> list[str]:
    """Files of root/jars.lock, of these folders, that are missing or altered under root/jars."""
    return [
        jar.name
        for jar in read_lock(root / "jars.lock")
        if jar.folder in folders
        and not ((root / "jars" / jar.name).is_file() and sha256(root / "jars" / jar.name) == jar.digest)
    ]


def pyspark_jars() -> Path:
    """The folder of the jars that pyspark brings."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ServiceUnavailableError("pyspark is missing; run ./init.sh")
    return Path(spec.origin).parent / "jars"


def _ivy() -> Path:
    ivy = next(pyspark_jars().glob("ivy-*.jar"), None)
    if ivy is None:
        raise ServiceUnavailableError("pyspark's Ivy is missing; remove .venv and run ./init.sh")
    return ivy


def _repository() -> str:
    """The address of the repository: MAVEN_URL, or Maven Central's as Ivy has it."""
    if given := os.environ.get("MAVEN_URL"):
        return given.rstrip("/")
    with zipfile.ZipFile(_ivy()) as classes:
        known = _ROOT_IN_IVY.search(classes.read("org/apache/ivy/plugins/resolver/IBiblioResolver.class"))
    if known is None:
        raise ServiceUnavailableError("Ivy has no address of Maven Central; set MAVEN_URL to a repository")
    return known[0].decode().rstrip("/")


def _download(jar: Jar, repository: str, target: Path) -> None:
    """Downloads one jar and checks its hash; ServiceUnavailableError or DataError where that fails."""
    url = f"{repository}/{jar.path}"
    for trial in range(1, TRIES + 1):
        try:
            with (
                urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
                open(target, "wb") as file,
            ):
                shutil.copyfileobj(response, file)
            break
        except OSError as error:
            # of these only an answer (not found, forbidden) and a full disk stay as they are
            lasting = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if lasting or trial == TRIES or error.errno is not None:
                reason = getattr(error, "reason", None) or error.strerror or error
                raise ServiceUnavailableError(
                    f"cannot fetch {url}: {reason}; check the network (a proxy: HTTPS_PROXY, "
                    "a mirror: MAVEN_URL) and the disk, then run ./init.sh again"
                ) from error
            time.sleep(2**trial)
    if (found := sha256(target)) != jar.digest:
        raise DataError(
            f"{jar.name} is not the file jars.lock lists (SHA-256 {found[:16]}..., expected "
            f"{jar.digest[:16]}...); run ./init.sh again, and if it stays so, do not use that mirror"
        )


def fetch(root: Path, say: Callable[[str], None] = _quiet, folders: Sequence[str] = NEEDED) -> bool:
    """Brings root/jars in step with root/jars.lock; returns whether there was anything to do.

    Raises ServiceUnavailableError where a file cannot be fetched, DataError where one is not the file of the lock.
    """
    missing = sorted({name.split("/")[0] for name in wrong(root, folders)})
    lock = read_lock(root / "jars.lock")
    (root / "jars").mkdir(exist_ok=True)
    repository = _repository() if missing else ""
    for folder in missing:
        jars = [jar for jar in lock if jar.folder == folder]
        say(f"fetching {len(jars)} jars into jars/{folder}")
        with tempfile.TemporaryDirectory(prefix=".part-", dir=root / "jars") as part:
            whole = Path(part) / folder
            whole.mkdir()
            with ThreadPoolExecutor(_THREADS) as threads:
                tasks = [threads.submit(_download, jar, repository, Path(part) / jar.name) for jar in jars]
                for task in tasks:
                    task.result()
            shutil.rmtree(root / "jars" / folder, ignore_errors=True)
            whole.rename(root / "jars" / folder)
    return bool(missing)


def _resolve(coordinate: tuple[str, str, str], target: Path, cache: Path) -> None:
    """Fetches one module and what it depends on into `target`, as `group=artifact=version.jar`, by Ivy."""
    settings = os.environ.get("IVYSETTINGS")
    command = [
        *[str(find_java()), "-jar", str(_ivy()), "-cache", str(cache), "-confs", "default"],
        *(["-settings", settings] if settings else []),
        *["-dependency", *coordinate],
        *(["-notransitive"] if coordinate[1] in _ALONE else []),
        *["-retrieve", str(target / "[organisation]=[artifact]=[revision].[ext]")],
    ]
    ended = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
    output = ended.stdout + ended.stderr
    # Ivy ends with 0 also where it found nothing
    if ended.returncode or not any(target.glob("*.jar")) or "UNRESOLVED" in output:
        raise ServiceUnavailableError(
            f"cannot resolve {':'.join(coordinate)}; Ivy's log ends: {output[-2000:]}"
        )


def _resolved(folder: str, part: Path) -> dict[str, Path]:
    """`group:artifact:version` -> file, of what the coordinates of a folder depend on. Jars that pyspark has are
    left out of Spark's, and versions that a coordinate replaces."""
    target = part / folder
    target.mkdir()
    for coordinate in COORDINATES[folder]:
        _resolve(coordinate, target, part / "cache")
    named = {(group, artifact): version for group, artifact, version in COORDINATES[folder]}
    of_pyspark = {jar.name.rsplit("-", 1)[0] for jar in pyspark_jars().glob("*.jar")}
    found = {}
    for jar in sorted(target.glob("*.jar")):
        group, artifact, version = jar.name.removesuffix(".jar").split("=")
        replaced = named.get((group, artifact), version) != version
        if not replaced and (folder == "kafka" or artifact not in of_pyspark):
            found[f"{group}:{artifact}:{version}"] = jar
    return found


def write_lock(root: Path, say: Callable[[str], None] = _quiet) -> None:
    """Writes root/jars.lock anew from what COORDINATES resolve to now."""
    lines = []
    (root / "jars").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lock-", dir=root / "jars") as part:
        for folder in COORDINATES:
            say(f"resolving jars/{folder}")
            for coordinate, jar in _resolved(folder, Path(part)).items():
                _, artifact, version = coordinate.split(":")
                lines += [f"# {coordinate}", f"{sha256(jar)}  {folder}/{artifact}-{version}.jar"]
    files.write_text(root / "jars.lock", "\n".join(lines) + "\n")


def main() -> int:
    """The command of init.sh and `make lock`; returns the exit code."""
    root = Path(__file__).resolve().parents[2]

    def say(text: str) -> None:
        sys.stderr.write(f"init: {text}\n")

    try:
        if "--lock" in sys.argv[1:]:
            write_lock(root, say)
        else:
            others = [name for name in ("spark42", "s3") if f"--{name}" in sys.argv[1:]]
            fetch(root, say, others or NEEDED)
    except ActivityError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        say(f"{error.strerror} ({error.filename}); mend that and run ./init.sh again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The jars of the broker and of Spark's Kafka connector: fetched by the Ivy inside pyspark, checked by hash.

`jars.lock` lists each file with its SHA-256, in the form `sha256sum -c` reads. What is fetched goes to a
folder beside the target first and moves in only when every hash is right. init.sh runs
`python -m activitymodule.streaming.jars`; with --lock it writes the list anew, after a change of version here.

Ivy asks Maven Central; the environment variable IVYSETTINGS names a settings file of Ivy's for a mirror.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from activitymodule.errors import ActivityError, DataError, ServiceUnavailableError
from activitymodule.streaming.java import find_java

# The connector's version is not pyspark's: 4.0.0 is the newest whose token provider is published beside it.
# The local file system of com.globalmentor forks no process for each file it writes, as Hadoop's own does.
# Kafka's jars bring no logging backend; without one the broker says nothing.
COORDINATES = {
    "spark": (
        ("org.apache.spark", "spark-sql-kafka-0-10_2.13", "4.0.0"),
        ("com.globalmentor", "hadoop-bare-naked-local-fs", "0.1.0"),
    ),
    "kafka": (
        ("org.apache.kafka", "kafka_2.13", "4.1.0"),
        ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3"),
    ),
}
TRIES = 3


def _quiet(_: str) -> None:
    """Nobody listens."""


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lock(path: Path) -> dict[str, str]:
    """`folder/file.jar` -> SHA-256."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); restore it with `git checkout`"
        ) from error
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}


def wrong(root: Path) -> list[str]:
    """Files of root/jars.lock that are missing or altered under root/jars."""
    return [
        name
        for name, digest in read_lock(root / "jars.lock").items()
        if not (root / "jars" / name).is_file() or sha256(root / "jars" / name) != digest
    ]


def pyspark_jars() -> Path:
    """The folder of the jars that pyspark brings."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ServiceUnavailableError("pyspark is missing; run ./init.sh")
    return Path(spec.origin).parent / "jars"


def _resolve(
    coordinates: tuple[str, str, str], target: Path, cache: Path, say: Callable[[str], None]
) -> None:
    """Fetches one module and what it depends on into `target`."""
    ivy = next(pyspark_jars().glob("ivy-*.jar"), None)
    if ivy is None:
        raise ServiceUnavailableError("pyspark's Ivy is missing; remove .venv and run ./init.sh")
    settings = os.environ.get("IVYSETTINGS")
    command = [
        *[str(find_java()), "-jar", str(ivy), "-cache", str(cache), "-confs", "default"],
        *(["-settings", settings] if settings else []),
        *["-dependency", *coordinates],
        *["-retrieve", str(target / "[artifact]-[revision].[ext]")],
    ]
    for trial in range(1, TRIES + 1):
        done = subprocess.run(command, capture_output=True, text=True)
        said = done.stdout + done.stderr
        # Ivy ends with 0 also where it found nothing
        if done.returncode == 0 and any(target.glob(f"{coordinates[1]}-*.jar")) and "UNRESOLVED" not in said:
            return
        if "No space left" in said:
            raise ServiceUnavailableError("the disk is full: free 500 MB and run ./init.sh again")
        if trial < TRIES:
            say(f"{coordinates[1]} did not come whole, trying again ({trial} of {TRIES - 1})")
            time.sleep(2**trial)
    log = target.parent / "ivy.log"
    log.write_text(said)
    why = (
        "Maven Central cannot be reached"
        if any(word in said for word in ("UnknownHost", "ConnectException", "timed out", "Host "))
        else "Maven Central did not have all of it"
    )
    raise ServiceUnavailableError(
        f"cannot fetch {':'.join(coordinates)}: {why} (Ivy's own words are in {log}); "
        "check the network (a proxy: JAVA_TOOL_OPTIONS='-Dhttps.proxyHost=... -Dhttps.proxyPort=...'), "
        "then run ./init.sh again"
    )


def fetch(root: Path, say: Callable[[str], None] = _quiet) -> bool:
    """Brings root/jars in step with root/jars.lock; returns whether there was anything to do."""
    lock = read_lock(root / "jars.lock")
    todo = sorted({name.split("/")[0] for name in wrong(root)})
    if not todo:
        return False
    (root / "jars").mkdir(exist_ok=True)
    cache = root / "jars" / ".ivy"
    for folder in todo:
        names = [name for name in lock if name.startswith(f"{folder}/")]
        say(f"fetching {len(names)} jars into jars/{folder} (half a minute)")
        with tempfile.TemporaryDirectory(prefix=".part-", dir=root / "jars") as part:
            for coordinates in COORDINATES[folder]:
                _resolve(coordinates, Path(part), cache, say)
            for name in names:
                file = Path(part) / Path(name).name
                if not file.is_file():
                    raise DataError(f"Ivy did not fetch {name}, which jars.lock lists; run ./init.sh again")
                if (found := sha256(file)) != lock[name]:
                    shutil.rmtree(cache, ignore_errors=True)
                    raise DataError(
                        f"{name} is not the file jars.lock lists (SHA-256 {found[:16]}..., expected "
                        f"{lock[name][:16]}...); run ./init.sh again, "
                        "and if it stays so, do not use that mirror"
                    )
            whole = Path(part) / "whole"
            whole.mkdir()
            for name in names:
                (Path(part) / Path(name).name).rename(whole / Path(name).name)
            shutil.rmtree(root / "jars" / folder, ignore_errors=True)
            whole.rename(root / "jars" / folder)
    shutil.rmtree(cache, ignore_errors=True)
    return True


def write_lock(root: Path, say: Callable[[str], None] = _quiet) -> None:
    """Writes jars.lock anew from what the coordinates resolve to now. Jars that pyspark has are left out."""
    there = {jar.name.rsplit("-", 1)[0] for jar in pyspark_jars().glob("*.jar")}
    lines = []
    (root / "jars").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lock-", dir=root / "jars") as part:
        for folder, modules in COORDINATES.items():
            target = Path(part) / folder
            target.mkdir()
            for coordinates in modules:
                say(f"resolving {':'.join(coordinates)}")
                _resolve(coordinates, target, Path(part) / "cache", say)
            for jar in sorted(target.glob("*.jar")):
                if folder == "kafka" or jar.name.rsplit("-", 1)[0] not in there:
                    lines.append(f"{sha256(jar)}  {folder}/{jar.name}")
    (root / "jars.lock").write_text("\n".join(lines) + "\n")


def main() -> int:
    root = Path(__file__).resolve().parents[2]

    def say(text: str) -> None:
        print(f"init: {text}", file=sys.stderr, flush=True)

    try:
        if "--lock" in sys.argv[1:]:
            write_lock(root, say)
        else:
            fetch(root, say)
    except ActivityError as error:
        say(str(error))
        return error.exit_code
    except OSError as error:
        say(f"{error.strerror} ({error.filename}); mend that and run ./init.sh again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

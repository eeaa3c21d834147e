"""The Java that Kafka and Spark run on: JAVA_HOME's, or the one on PATH. JDK 17 and 21 are tested; 17 to 23 run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from activitymodule.errors import ServiceUnavailableError

OLDEST = 17
# Java 24 took away the security manager, which Spark 4.0's Hadoop still asks for.
NEWEST = 23
MEND = "`apt-get install openjdk-17-jre-headless` on Debian (or 21), `brew install openjdk@17` on macOS"


def java_version(java: Path) -> int | None:
    """The major version `java -version` reports; None where it does not run."""
    try:
        ran = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, encoding="utf-8", errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)', ran.stderr + ran.stdout)
    return int(found.group(1)) if found and ran.returncode == 0 else None


def which_java() -> str | None:
    """The `java` that would run, whatever its version."""
    home = os.environ.get("JAVA_HOME")
    there = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return there or shutil.which("java")


def find_java() -> Path:
    """The `java` to run; ServiceUnavailableError names the command that mends a missing or wrong one."""
    there = which_java()
    if there is None:
        raise ServiceUnavailableError(f"there is no Java on this machine; install JDK 17 or 21: {MEND}")
    version = java_version(Path(there))
    if version is None:
        raise ServiceUnavailableError(f"{there} does not run; install JDK 17 or 21: {MEND}")
    if not OLDEST <= version <= NEWEST:
        raise ServiceUnavailableError(
            f"{there} is Java {version}, and {OLDEST} to {NEWEST} are needed; "
            f"install JDK 17 or 21 ({MEND}) and point JAVA_HOME at it"
        )
    return Path(there)


if __name__ == "__main__":  # init.sh asks before it downloads anything
    try:
        find_java()
    except ServiceUnavailableError as error:
        print(f"init: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

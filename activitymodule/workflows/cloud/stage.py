"""Code and jars for jobs in a cloud: copied to a bucket under names by their content, so only what changed goes."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from activitymodule.cloud.download import BLOCK
from activitymodule.cloud.targets import Target, target_at
from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, project_root, resolve

FOLDER = "staged"
CURRENT = f"{FOLDER}/current.json"
ENTRY = "run_verb.py"
"""The script that a job begins with: it runs a verb of the command line."""
# what a job needs of the checkout; the archive has the same paths
_CODE = ("activitymodule", "annotation", "sql", "spark", "airflow/dags")
_FILES = ("config.yaml", "config.aws.yaml", "config.gcp.yaml", "jars.lock", "pyproject.toml", "README.md")


class Staged(BaseModel):
    """Addresses of what is staged: the code as one archive, the script that jobs begin with, all Spark scripts, Spark's
    jars, and the script that nodes of a cluster begin with, which installs the requirements."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    entry: str
    scripts: tuple[str, ...]
    requirements: str
    bootstrap: str
    jars: tuple[str, ...]


@dataclass(frozen=True)
class StageReport:
    """What a run copied. uploaded, kept : files; bytes : of the former."""

    to: str
    uploaded: int
    kept: int
    bytes: int
    staged: Staged


def staging(config: Settings, to: str | None = None) -> str:
    """The address that is staged to. Raises ConfigError where none is set, or for what is no address."""
    where = to or config.cloud.staging
    if not where or "://" not in where:
        raise ConfigError(
            f"{f'{where[:200]!r} is no address' if where else 'cloud.staging is not set'}; set cloud.staging to "
            "s3://BUCKET/PREFIX, or give --to"
        )
    return where


def stage(
    config: Settings, to: str | None = None, *, say: Callable[[str], None] = lambda text: None
) -> StageReport:
    """Copy the code of this checkout, the Spark scripts, the requirements and Spark's jars to the staging bucket.

    to : cloud.staging unless given. What lies there under the same content stays; jobs that run go on with what they
    began with. Raises ConfigError where this is no checkout, and what the bucket raises.
    """
    target = target_at(staging(config, to))
    root = project_root()
    if not (root / "pyproject.toml").is_file():
        raise ConfigError(f"{root} is no checkout of the project; staging copies its code: run it from there")
    copying = _Copying(target, set(target.names(FOLDER)), say)
    scripts = {
        one.name: copying.put(f"spark/{{}}/{one.name}", one) for one in sorted((root / "spark").glob("*.py"))
    }
    done = Staged(
        code=copying.put("code/activity-{}.tar.gz", _archive(root)),
        entry=scripts[ENTRY],
        scripts=tuple(scripts.values()),
        requirements=copying.put("requirements-{}.lock", root / "requirements.lock"),
        bootstrap=copying.put("bootstrap-{}.sh", root / "infra" / "emr" / "bootstrap.sh"),
        jars=tuple(
            copying.put(f"jars/{{}}/{one.name}", one)
            for one in sorted(resolve(config.spark.jars).glob("*.jar"))
        ),
    )
    target.write_whole(CURRENT, done.model_dump_json(indent=1).encode())
    return StageReport(target.address, copying.uploaded, copying.kept, copying.bytes, done)


def staged(config: Settings) -> Staged:
    """What was staged last. Raises ConfigError where nothing was."""
    target = target_at(staging(config))
    if target.size(CURRENT) is None:
        raise ConfigError(f"nothing is staged at {target.address}; run `activity cloud stage` first")
    try:
        return Staged.model_validate_json(b"".join(target.read(CURRENT)))
    except ValidationError:
        raise ConfigError(
            f"{target.address}/{CURRENT} was written by another version; run `activity cloud stage`"
        ) from None


class _Copying:
    def __init__(self, target: Target, present: set[str], say: Callable[[str], None]) -> None:
        self._target, self._present, self._say = target, present, say
        self.uploaded = self.kept = self.bytes = 0

    def put(self, name: str, source: Path | bytes) -> str:
        """Copy a file under a name with its hash in place of {}, unless it is there; its address."""
        digest = hashlib.sha256()
        for block in _blocks(source):
            digest.update(block)
        place = f"{FOLDER}/{name.format(digest.hexdigest()[:16])}"
        if place in self._present:
            self.kept += 1
        else:
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            self._say(f"{place} ({size / 1e6:,.1f} MB)")
            sink = self._target.sink(place, size=size)
            try:
                for block in _blocks(source):
                    sink.write(block)
                sink.commit()
            except BaseException:
                sink.discard()
                raise
            self.uploaded += 1
            self.bytes += size
        return f"{self._target.address}/{place}"


def _blocks(source: Path | bytes) -> Iterator[bytes]:
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def _archive(root: Path) -> bytes:
    """The code as a .tar.gz; the same files are the same bytes, whenever and by whomever it is made."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed,
        tarfile.TarFile(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        folders = [path for name in _CODE for path in sorted((root / name).rglob("*"))]
        for path in [*(root / name for name in _FILES), *folders]:
            if not path.is_file() or "__pycache__" in path.parts or path.suffix == ".pyc":
                continue
            member = tarfile.TarInfo(path.relative_to(root).as_posix())
            member.size = path.stat().st_size
            with open(path, "rb") as content:
                tar.addfile(member, content)
    return out.getvalue()

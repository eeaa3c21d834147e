"""One file of a manifest on its way from the web into a target."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from activitymodule.cloud import zips
from activitymodule.cloud.download import Download, Web
from activitymodule.cloud.targets import Folder, Target
from activitymodule.errors import ActivityError, DataError, InterruptedFetchError, NoRangesError
from activitymodule.workflows.cloud.manifest import Entry, stem

RECORDS = "_fetched"
"""Folder of the target with a record of each file."""
_LOOKS = 3  # at a file that arrives damaged or changes: only another look can tell whether it stays so


class Member(BaseModel):
    """A file as it lies in the target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int


class Record(BaseModel):
    """What the target has of a file of the manifest.

    sha256 : of the file on its server; None where not all of it was read in one go
    upload : where what a run left behind can be found; people : whose members were taken, None: everybody's
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    complete: bool = False
    size: int | None = None
    sha256: str | None = None
    validator: str | None = None
    upload: str = ""
    people: tuple[str, ...] | None = None
    members: tuple[Member, ...] = ()


@dataclass(frozen=True)
class FileResult:
    """What became of a file. members : files in the target; reason, code : why it failed."""

    name: str
    status: Literal["fetched", "kept", "failed"]
    size: int | None = None
    sha256: str | None = None
    members: int = 0
    reason: str | None = None
    code: str | None = None


@dataclass
class Progress:
    """How far a run is, for a bar; it may be read at any time.

    files, done : of the manifest; total : bytes of the files whose size is known; bytes : of them, done; from_web :
    bytes that this run read
    """

    files: int = 0
    done: int = 0
    total: int = 0
    bytes: int = 0
    from_web: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, done: int = 0, total: int = 0, moved: int = 0, from_web: int = 0) -> None:
        """Count."""
        with self._lock:
            self.done += done
            self.total += total
            self.bytes += moved
            self.from_web += from_web


class OneFile:
    """A file of a manifest, the target, and what the target has of it."""

    def __init__(
        self, web: Web, target: Target, entry: Entry, people: list[str] | None, progress: Progress
    ) -> None:
        self._web, self._target, self._entry, self._progress = web, target, entry, progress
        self._people = None if people is None else tuple(sorted(people))
        self._is_zip = entry.name.lower().endswith(".zip")
        self._size = entry.size
        self._counted = 0

    def fetch(self) -> tuple[FileResult, ActivityError | None]:
        """Fetch it, unless the target has it. What fails comes back with the result; an end on request raises."""
        try:
            record = self._record()
            if record is not None and self._is_kept(record):
                self._know(record.size)
                self._count(record.size or 0)
                return self._result("kept", record), None
            return self._result("fetched", self._looked(record)), None
        except InterruptedFetchError:
            raise
        except ActivityError as error:
            return FileResult(self._entry.name, "failed", reason=str(error), code=error.code), error
        finally:
            self._progress.add(done=1)

    def _result(self, status: Literal["fetched", "kept"], record: Record) -> FileResult:
        return FileResult(self._entry.name, status, record.size, record.sha256, len(record.members))

    # ---- what the target has

    @property
    def _record_name(self) -> str:
        return f"{RECORDS}/{self._entry.name}.json"

    def _record(self) -> Record | None:
        if self._target.size(self._record_name) is None:
            return None
        try:
            record = Record.model_validate_json(b"".join(self._target.read(self._record_name)))
        except ValidationError:
            return None
        return record if record.address == self._entry.address else None

    def _write(self, record: Record) -> Record:
        self._target.write_whole(self._record_name, record.model_dump_json(exclude_defaults=True).encode())
        return record

    def _is_kept(self, record: Record) -> bool:
        """Whether the target has what the manifest names; the web is not asked."""
        entry = self._entry
        same = (
            record.complete
            and entry.size in (None, record.size)
            # of a zip that was fetched in several runs the members were checked, by their CRC
            and (entry.sha256 in (None, record.sha256) or (self._is_zip and record.sha256 is None))
            and (record.people is None or record.people == self._people)
        )
        return same and all(self._target.size(one.name) == one.size for one in record.members)

    # ---- counting

    def _know(self, size: int | None) -> None:
        if size is not None:
            self._progress.add(total=size - (self._size or 0))
            self._size = size

    def _count(self, moved: int, from_web: int = 0) -> None:
        self._counted += moved
        self._progress.add(moved=moved, from_web=from_web)

    # ---- fetching

    def _looked(self, record: Record | None) -> Record:
        """Fetch, and again where the file changed or arrived damaged. Raises the last error."""
        for look in range(1, _LOOKS + 1):
            try:
                return self._opened(record) if self._is_zip else self._plain(self._target, record)
            except NoRangesError:
                if self._is_zip:
                    return self._through_disk()
                if look == _LOOKS:
                    raise
            except DataError:
                if look == _LOOKS:
                    raise
            record = None
            self._count(-self._counted)
        raise AssertionError("the last look returns or raises")

    def _plain(self, target: Target, record: Record | None) -> Record:
        """The file as it is, from where an earlier run left it."""
        entry = self._entry
        before = record if record and not record.complete and record.validator else None
        if before is None:
            if record is not None and record.upload and not record.complete:
                target.sink(
                    entry.name, upload=record.upload
                ).discard()  # its server cannot tell whether it changed
            download = Download(self._web, entry.address, size=entry.size)
            download.open()
            self._know(download.size)
            sink = target.sink(entry.name, size=download.size)
        else:
            self._know(before.size)
            sink = target.sink(entry.name, upload=before.upload, size=before.size)
            download = Download(
                self._web,
                entry.address,
                position=sink.position,
                size=before.size,
                validator=before.validator,
            )
        start = sink.position
        digest = hashlib.sha256() if start == 0 else None
        if start and (prefix := sink.prefix()) is not None:
            digest = hashlib.sha256()
            for block in prefix:
                digest.update(block)
        self._count(start)
        noted = before.upload if before else ""
        try:
            while block := download.read():
                sink.write(block)
                if digest is not None:
                    digest.update(block)
                if sink.upload != noted:
                    noted = sink.upload
                    self._note(target, download, noted)
                self._count(len(block), len(block))
            self._same_hash(digest.hexdigest() if digest else None)
            sink.commit()
        except DataError:
            sink.discard()
            raise
        except BaseException:
            sink.keep()
            raise
        finally:
            download.close()
        return self._finished(target, download, digest.hexdigest() if digest else None)

    def _note(self, target: Target, download: Download, upload: str) -> None:
        """Remember what a later run can go on with."""
        if target is self._target:
            self._write(
                Record(
                    address=self._entry.address,
                    size=download.size,
                    validator=download.validator,
                    upload=upload,
                )
            )

    def _same_hash(self, digest: str | None) -> None:
        entry = self._entry
        if entry.sha256 is not None and digest not in (None, entry.sha256):
            raise DataError(f"{entry.address} has the SHA-256 {digest}, and the manifest says {entry.sha256}")

    def _finished(self, target: Target, download: Download, digest: str | None) -> Record:
        entry = self._entry
        if digest is None and entry.sha256 is not None:
            # what an earlier run had sent could not be hashed here: it is read back
            read_back = hashlib.sha256()
            for block in target.read(entry.name):
                read_back.update(block)
            digest = read_back.hexdigest()
            try:
                self._same_hash(digest)
            except DataError:
                target.remove(entry.name)
                raise
        size = download.position
        record = Record(
            address=entry.address,
            complete=True,
            size=size,
            sha256=digest,
            validator=download.validator,
            members=(Member(name=entry.name, size=size),),
        )
        return self._write(record) if target is self._target else record

    # ---- zips

    def _opened(self, record: Record | None) -> Record:
        """The members of a zip archive, each a file; those that an earlier run finished are passed over."""
        entry = self._entry
        with zips.RangeFile(self._web, entry.address, size=entry.size) as file:
            self._know(file.size)
            unchanged = record and record.validator and record.validator == file.validator
            before = record.members if record and unchanged else ()
            with zips.opened(file, entry.address) as archive:
                chosen = self._chosen(zips.members(archive, entry.address))
                file.stream()
                noted = Record(address=entry.address, size=file.size, validator=file.validator)
                done = []
                for name, member in chosen:
                    done.append(Member(name=name, size=member.file_size))
                    if done[-1] not in before or self._target.size(name) != member.file_size:
                        self._member(name, zips.blocks(archive, member), member.file_size)
                        self._write(noted.model_copy(update={"members": tuple(done)}))
                    self._count(member.compress_size, member.compress_size)
                digest = file.digest()
            self._same_hash(digest)
            return self._write(
                noted.model_copy(
                    update={
                        "complete": True,
                        "sha256": digest,
                        "people": self._people,
                        "members": tuple(done),
                    }
                )
            )

    def _through_disk(self) -> Record:
        """A zip archive from a server that knows no ranges: it is fetched whole, and then opened."""
        entry = self._entry
        with tempfile.TemporaryDirectory(prefix="activity-fetch-") as folder:
            whole = self._plain(Folder(Path(folder)), None)
            done = []
            with open(Path(folder) / entry.name, "rb") as file, zips.opened(file, entry.address) as archive:
                for name, member in self._chosen(zips.members(archive, entry.address)):
                    self._member(name, zips.blocks(archive, member), member.file_size)
                    done.append(Member(name=name, size=member.file_size))
        return self._write(whole.model_copy(update={"people": self._people, "members": tuple(done)}))

    def _chosen(self, members: list[zips.ZipInfo]) -> list[tuple[str, zips.ZipInfo]]:
        """(name in the target, member) of the people that were asked for; all where the file is one person's."""
        entry = self._entry
        base = PurePosixPath(stem(entry.name))
        people = None if entry.person or base.name in (self._people or ()) else self._people
        return [
            (str(base / member.filename), member)
            for member in members
            if people is None or PurePosixPath(stem(member.filename)).name in people
        ]

    def _member(self, name: str, blocks: Iterator[bytes], size: int) -> None:
        sink = self._target.sink(name, size=size)
        try:
            for block in blocks:
                sink.write(block)
            sink.commit()
        except BaseException:
            sink.discard()
            raise

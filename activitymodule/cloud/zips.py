"""Zip archives opened on the way: the directory by ranges, then the members in their order from one stream."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from activitymodule.cloud.download import BLOCK, Download, Web
from activitymodule.errors import DataError

_AHEAD = 1 << 18  # read at once where the directory is looked for
_SKIP = 8 << 20  # a shorter gap is read over, a longer one jumped
_NOISE = ("__MACOSX/", ".DS_Store")


ZipInfo = zipfile.ZipInfo


class RangeFile(io.RawIOBase):
    """An address as a file that can be sought. Before `stream` each read is a range; after it, one long response.

    size and validator are known once it is made. Raises NoRangesError where the server knows none.
    """

    def __init__(self, web: Web, address: str, *, size: int | None = None) -> None:
        self._web, self._address = web, address
        first = Download(web, address, until=1, size=size)
        first.open()
        first.close()
        self.size = first.size or 0
        self.validator = first.validator
        self._position = 0
        self._ahead = (0, b"")
        self._stream: Download | None = None
        self._streaming = False
        self._rest = b""
        self._hash = hashlib.sha256()
        self._whole = True

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as files do."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def read(self, count: int = -1) -> bytes:
        """So many bytes, fewer at the end only."""
        count = self.size - self._position if count < 0 else min(count, self.size - self._position)
        if count <= 0:
            return b""
        piece = self._streamed(count) if self._streaming else self._ranged(count)
        self._position += len(piece)
        return piece

    def stream(self) -> None:
        """From here on reads go forward mostly: they are taken from one response that begins at 0."""
        self._streaming = True
        self._stream = self._begin(0)

    def digest(self) -> str | None:
        """SHA-256 of the whole file, whose rest is read for it; None where parts were jumped over."""
        if self._stream is None or not self._whole:
            return None
        self._rest = b""
        while block := self._stream.read():
            self._hash.update(block)
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the connection."""
        if self._stream is not None:
            self._stream.close()
        super().close()

    def _begin(self, position: int, until: int | None = None) -> Download:
        return Download(
            self._web,
            self._address,
            position=position,
            until=until,
            size=self.size,
            validator=self.validator,
        )

    def _ranged(self, count: int) -> bytes:
        start, held = self._ahead
        if not start <= self._position <= self._position + count <= start + len(held):
            start = self._position
            download = self._begin(start, min(self.size, start + max(count, _AHEAD)))
            held = b"".join(iter(download.read, b""))
            self._ahead = (start, held)
        return held[self._position - start :][:count]

    def _streamed(self, count: int) -> bytes:
        assert self._stream is not None
        at = self._stream.position - len(self._rest)
        if not 0 <= self._position - at <= _SKIP:
            self._stream.close()
            self._stream, self._rest, self._whole = self._begin(self._position), b"", False
            at = self._position
        pieces: list[bytes] = []
        behind = self._position - at
        while count and (block := self._rest or self._next()):
            passed = block[:behind]
            taken = block[behind : behind + count]
            self._rest = block[len(passed) + len(taken) :]
            behind -= len(passed)
            count -= len(taken)
            pieces.append(taken)
        return b"".join(pieces)

    def _next(self) -> bytes:
        assert self._stream is not None
        block = self._stream.read()
        self._hash.update(block)
        return block


@contextmanager
def opened(file: io.RawIOBase | io.BufferedIOBase, address: str) -> Iterator[zipfile.ZipFile]:
    """A zip archive. Raises DataError for what is none, is truncated or is damaged, also within the block."""
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{address} is no whole zip archive ({error or 'it is truncated'})") from error
    except (
        NotImplementedError,
        RuntimeError,
    ) as error:  # a compression or an encryption that zipfile does not have
        raise DataError(f"{address} cannot be opened ({error})") from error


def members(archive: zipfile.ZipFile, address: str) -> list[zipfile.ZipInfo]:
    """The files of an archive in the order of their bytes. Raises DataError for a name that leaves the target."""
    found: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        if member.is_dir() or any(noise in member.filename for noise in _NOISE):
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(
                f"{address} holds a symbolic link, {member.filename!r}; nothing of it was written"
            )
        if found.setdefault(safe_name(member.filename, address), member) is not member:
            raise DataError(f"{address} holds {member.filename!r} twice")
    return sorted(found.values(), key=lambda one: one.header_offset)


def safe_name(name: str, where: str) -> str:
    """A name below the target, with `/`. Raises DataError for one that would lead out of it or is no file name."""
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or any(c in name for c in '\\:*?"<>|')
        or not name.isprintable()
        or len(name.encode()) > 900
    ):
        raise DataError(
            f"{where} names a file {name[:80]!r}, which would not lie in the target; it was not written"
        )
    return path.as_posix()


def blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a member, checked against its CRC at the end."""
    with archive.open(member) as stream:
        while block := stream.read(BLOCK):
            yield block

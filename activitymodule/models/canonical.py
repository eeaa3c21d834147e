"""Model files whose bytes depend on what they hold alone, so that a training that is repeated makes the same file.

skops names the parts of a file by their addresses in memory, and stamps them with the time. Here they are named by
their order, and dated as zip's first day.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator

_SCHEMA = "schema.json"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)


def canonical(content: bytes) -> bytes:
    """The skops file with its parts named by their order; it is loaded like the one that was given."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, part in _parts(content):
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, part, compresslevel=6)
    return out.getvalue()


def content_sha256(content: bytes) -> str:
    """SHA-256 of what a skops file holds, however its parts are named, dated and compressed."""
    digest = hashlib.sha256()
    for name, part in _parts(content):
        digest.update(f"{name} {len(part)}\n".encode())
        digest.update(part)
    return digest.hexdigest()


def _parts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the parts, named by their order in the schema, which comes last."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        schema = json.loads(file.read(_SCHEMA))
        there = set(file.namelist())
        names: dict[str, str] = {}
        objects: dict[object, int] = {}
        # depth first, in the order of the schema
        waiting: list[object] = [schema]
        while waiting:
            found = waiting.pop()
            if isinstance(found, dict):
                if (own := found.get("__id__")) is not None and not isinstance(own, dict):
                    found["__id__"] = objects.setdefault(own, len(objects) + 1)
                if isinstance(part := found.get("file"), str) and part in there:
                    found["file"] = names.setdefault(part, f"{len(names) + 1}.npy")
                waiting += reversed(found.values())
            elif isinstance(found, list):
                waiting += reversed(found)
        for old, new in names.items():
            yield new, file.read(old)
        yield _SCHEMA, json.dumps(schema, indent=2).encode()

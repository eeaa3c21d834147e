"""XML of others, element by element in constant memory, and nothing that XML can be made to do besides.

A document type is taken out before the parser sees it, because phones have written ones that are not well-formed; one
that declares an entity or names another file is refused. So are elements nested too deeply and values that never end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from xml.parsers import expat

from activitymodule.errors import DataError

_BLOCK = 1 << 20
_HEAD = 1 << 18
_LONGEST_TOKEN = 8 << 20
_DEEPEST = 50
# what XML 1.0 does not allow, and some apps write all the same; a byte that stays is never part of another character
_INVALID = bytes(code for code in range(32) if code not in (9, 10, 13))
_BLANKS = bytes.maketrans(_INVALID, b" " * len(_INVALID))

Begin = Callable[[str, Mapping[str, str]], None]
End = Callable[[str], None]


class Readable(Protocol):
    """What can be read."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def parse(stream: Readable, name: str, root: str, begin: Begin, end: End) -> None:
    """Call `begin` and `end` for each element of a document with this root. Raises DataError where it is none."""
    parser = expat.ParserCreate()
    depth = 0

    def opened(element: str, attributes: Mapping[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DataError(f"{name} nests elements deeper than {_DEEPEST} levels; it is no such export")
        if depth == 1 and element != root:
            raise DataError(
                f"{name} begins with <{element[:40]}> and not with <{root}>; it is no such export"
            )
        begin(element, attributes)

    def closed(element: str) -> None:
        nonlocal depth
        depth -= 1
        end(element)

    def refused(*_: object) -> None:
        raise DataError(
            f"{name} declares a document type or an entity where no export has one; it is refused"
        )

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refused
    parser.ExternalEntityRefHandler = refused  # type: ignore[assignment]
    fed = 0
    try:
        for block in _blocks(stream, name):
            parser.Parse(block, False)
            fed += len(block)
            if fed - parser.CurrentByteIndex > _LONGEST_TOKEN:
                raise DataError(
                    f"{name} holds one value of more than {_LONGEST_TOKEN >> 20} MB; it is refused"
                )
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        cut = error.code in (expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],) or "unclosed" in str(
            error
        )
        raise DataError(
            f"{name} is no well-formed XML: {error}; "
            + ("the file is cut short, export it again" if cut else "nothing of it was imported")
        ) from None


def _blocks(stream: Readable, name: str) -> Iterator[bytes]:
    """The document without its document type and with blanks for characters that XML does not allow."""
    head = b""
    while len(head) < _HEAD and (data := stream.read(_BLOCK)):
        head += data
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:64]:
        raise DataError(f"{name} is not in UTF-8; such an export always is")
    yield _without_type(head, name).translate(_BLANKS)
    while data := stream.read(_BLOCK):
        yield data.translate(_BLANKS)


def _without_type(head: bytes, name: str) -> bytes:
    found = re.search(rb"<!DOCTYPE\b", head)
    element = re.search(rb"<[A-Za-z_]", head)
    if found is None or (element is not None and element.start() < found.start()):
        return head
    start = found.start()
    simple = re.match(rb"<!DOCTYPE\s+[\w:.-]+\s*(?:>|\[)", head[start:])
    if simple is None:
        raise DataError(f"{name} has a document type that names another file; it is refused")
    end = start + simple.end()
    if simple[0].endswith(b"["):
        inner = re.compile(rb"\]\s*>").search(head, end)
        if inner is None:
            raise DataError(f"{name} has a document type without an end; it is refused")
        if re.search(rb"<!ENTITY|%\s*\w+\s*;|<!\[", head[end : inner.start()]):
            raise DataError(f"{name} declares entities in its document type; it is refused")
        end = inner.end()
    # the lines stay, so that an error names the right one
    return head[:start] + b"\n" * head[start:end].count(b"\n") + head[end:]

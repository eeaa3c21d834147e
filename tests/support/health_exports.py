"""Exports of phones and watches, made for tests: Apple Health's XML and zip, and FIT files."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

WATCH = (
    "&lt;&lt;HKDevice: 0x1&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,7&gt;"
)
PHONE = (
    "&lt;&lt;HKDevice: 0x2&gt;, name:iPhone, manufacturer:Apple Inc., model:iPhone, hardware:iPhone14,2&gt;"
)
DOCUMENT_TYPE = """<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 14 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
]>
"""
_UNITS = {"StepCount": "count", "HeartRate": "count/min", "RestingHeartRate": "count/min"}
FIT_EPOCH = 631_065_600
_BASE = {"u8": (0x02, "B"), "u16": (0x84, "H"), "u32": (0x86, "I"), "enum": (0x00, "B")}


def record(kind: str, start: str, end: str, value: object, device: str = WATCH, source: str = "Watch") -> str:
    """A record of a quantity; times such as `2024-01-01 10:00:00 +0100`."""
    unit = _UNITS.get(kind, "kcal")
    return (
        f'<Record type="HKQuantityTypeIdentifier{kind}" sourceName="{source}" device="{device}" unit="{unit}" '
        f'creationDate="{end}" startDate="{start}" endDate="{end}" value="{value}"/>\n'
    )


def apple_xml(elements: Iterable[str], document_type: str = DOCUMENT_TYPE) -> bytes:
    """An export.xml of these elements."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{document_type}<HealthData locale="en_GB">\n'
        f'<ExportDate value="2024-12-01 08:00:00 +0100"/>\n{"".join(elements)}</HealthData>\n'
    ).encode()


def apple_zip(folder: Path, xml: bytes, name: str = "apple_health_export/export.xml") -> Path:
    """The export.zip of an export.xml, with what lies beside it."""
    path = folder / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("apple_health_export/export_cda.xml", b"<ClinicalDocument/>")
        archive.writestr("__MACOSX/apple_health_export/._export.xml", b"\0\5\x16\7")
        archive.writestr(name, xml)
    return path


def fit_file(messages: Iterable[tuple[int, Mapping[int, tuple[str, int]]]]) -> bytes:
    """A FIT file of messages: global number, and by field number its type (u8, u16, u32, enum) and raw value."""
    body = b""
    for number, fields in messages:
        definition = b"".join(
            bytes([field, struct.calcsize(_BASE[kind][1]), _BASE[kind][0]])
            for field, (kind, _) in fields.items()
        )
        body += struct.pack("<BBBHB", 0x40, 0, 0, number, len(fields)) + definition + b"\0"
        body += b"".join(struct.pack("<" + _BASE[kind][1], value) for kind, value in fields.values())
    header = struct.pack("<BBHI4s", 14, 0x20, 2140, len(body), b".FIT")
    header += struct.pack("<H", _crc(header))
    return header + body + struct.pack("<H", _crc(header + body))


def _crc(data: bytes) -> int:
    table = (0, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
        0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
    )  # fmt: skip
    crc = 0
    for byte in data:
        for nibble in (byte & 0xF, byte >> 4):
            crc = ((crc >> 4) & 0x0FFF) ^ table[crc & 0xF] ^ table[nibble]
    return crc

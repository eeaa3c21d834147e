"""Small files in the formats of watches' makers, from the samples that they are to hold."""

from __future__ import annotations

import io
import struct
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000


def e4_csv(values: np.ndarray, rate: float) -> bytes:
    """A start, a rate, and rows of numbers (n, columns)."""
    columns = values.shape[1]
    head = [",".join([f"{START_US / 1e6:.6f}"] * columns), ",".join([f"{rate:.6f}"] * columns)]
    return "\n".join([*head, *(",".join(f"{v:g}" for v in row) for row in values)]).encode() + b"\n"


def garmin_csv(milli_g: np.ndarray) -> bytes:
    """Rows of an accelerometer at 25 Hz, in an offset of two hours."""
    times = (START + timedelta(hours=2, milliseconds=40 * i) for i in range(len(milli_g)))
    return b"".join(
        f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+02:00;{x};{y};{z}\n".encode()
        for at, (x, y, z) in zip(times, milli_g.astype(int).tolist(), strict=True)
    )


def cwa(counts: np.ndarray, turned: np.ndarray | None = None, rate_code: int = 0x4A) -> bytes:
    """An Axivity's file at 100 Hz and 8 g: counts of 1/256 g (n, 3), and of 1/16.384 degrees/s for an AX6."""
    header = bytearray(1024)
    header[:4] = b"MD" + struct.pack("<H", 1020)
    header[4], header[36] = (0x64 if turned is not None else 0x17), rate_code
    struct.pack_into("<H", header, 5, 4711)
    samples = counts if turned is None else np.hstack([turned, counts])
    size, blocks = (80 if turned is None else 40), []
    for first in range(0, len(samples), size):
        part = samples[first : first + size].astype("<i2")
        at = START + timedelta(seconds=first / 100)
        stamp = (
            (at.year - 2000) << 26
            | at.month << 22
            | at.day << 17
            | at.hour << 12
            | at.minute << 6
            | at.second
        )
        fraction = int(at.microsecond / 1e6 * 65536)
        block = bytearray(512)
        # the stamp is that of sample `shift`, less the fraction of a second in samples
        struct.pack_into(
            "<2sHHIIIHH", block, 0, b"AX", 508, 0x8000 | fraction >> 1, 0, first // size, stamp, 5 << 10, 0
        )
        block[24], block[25] = rate_code, (0x32 if turned is None else 0x62)
        struct.pack_into("<hH", block, 26, -((fraction & 0xFFFE) * 100 >> 16), len(part))
        block[30 : 30 + part.nbytes] = part.tobytes()
        words = np.frombuffer(bytes(block), "<u2").sum(dtype=np.uint32)
        struct.pack_into("<H", block, 510, -int(words) & 0xFFFF)
        blocks.append(bytes(block))
    return bytes(header) + b"".join(blocks)


def geneactiv_bin(counts: np.ndarray, gain: int = 25600, offset: int = 100, pages: str = "9999") -> bytes:
    """A GENEActiv's file at 100 Hz: counts of 12 bits (n, 3); g = (100 counts - offset) / gain."""
    head = [
        "Device Identity", "Device Unique Serial Code:012345", "Device Type:GENEActiv", "Device Model:1.1",
        "Device Firmware Version:Ver1", "Calibration Date:2012-04-03 11:08:52:000", "", "Device Capabilities",
        *(f"Capability {i}:1" for i in range(9)), "", "Configuration Info", "Measurement Frequency:100 Hz",
        "Measurement Period:216 Hours", "Start Time:2026-01-02 04:04:05:000", "Time Zone:GMT +01:00", "", "Trial Info",
        *(f"Note {i}:" for i in range(10)), "", "Subject Info", *(f"Subject {i}:" for i in range(8)), "",
        "Calibration Data", *(f"{axis} {kind}:{value}" for axis in "xyz" for kind, value in
                              (("gain", gain), ("offset", offset))), "Volts:300", "Lux:800", "",
        "Memory Status", f"Number of Pages:{pages}", "",
    ]  # fmt: skip
    assert len(head) == 59
    lines = head
    for page, first in enumerate(range(0, len(counts), 300)):
        at = START + timedelta(hours=1, seconds=first / 100)
        data = "".join(
            f"{int(x) & 0xFFF:03X}{int(y) & 0xFFF:03X}{int(z) & 0xFFF:03X}000"
            for x, y, z in counts[first : first + 300]
        )
        lines += [
            "Recorded Data", "Device Unique Serial Code:012345", f"Sequence Number:{page}",
            f"Page Time:{at:%Y-%m-%d %H:%M:%S}:{at.microsecond // 1000:03d}", "Unassigned:", "Temperature:21.5",
            "Battery voltage:4.1493", "Device Status:Recording", "Measurement Frequency:100.0", data,
        ]  # fmt: skip
    return "\n".join(lines).encode() + b"\n"


def record(kind: int, seconds: int, payload: bytes) -> bytes:
    """A record of an ActiGraph's log, with its checksum."""
    data = struct.pack("<BBIH", 0x1E, kind, seconds, len(payload)) + payload
    return data + bytes([0xFF ^ int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8)))])


def packed(counts: np.ndarray) -> bytes:
    """Samples of 12 bits an axis, in the order y, x, z."""
    digits = "".join(f"{int(v) & 0xFFF:03X}" for v in counts[:, [1, 0, 2]].ravel())
    return bytes.fromhex(digits + "0" * (len(digits) % 2))


def gt3x(counts: np.ndarray, form: str = "words", extra: bytes = b"", info: str = "") -> bytes:
    """An ActiGraph's file at 30 Hz and 1/256 g. form : "words", "packed", or "old" for one without records."""
    ticks = (START_US - 4 * 3_600_000_000) * 10 + 621_355_968_000_000_000
    text = f"Serial Number: TAS0001\nSample Rate: 30\nStart Date: {ticks}\nTimeZone: -04:00:00\n"
    text += info or "Acceleration Scale: 256.0\n"
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("info.txt", text)
        if form == "old":
            archive.writestr("activity.bin", packed(counts))
        else:
            first = START_US // 1_000_000 - 4 * 3600
            records = [
                record(0x1A, first + i // 30, counts[i : i + 30].astype("<i2").tobytes())
                if form == "words"
                else record(0x00, first + i // 30, packed(counts[i : i + 30]))
                for i in range(0, len(counts), 30)
            ]
            archive.writestr("log.bin", b"".join(records[:2]) + extra + b"".join(records[2:]))
    return content.getvalue()


def sensor_logger(motion: np.ndarray, scale: float = 1.0) -> bytes:
    """WristMotion.csv at 50 Hz of user acceleration, gravity and rotation (n, 9)."""
    names = [f"{name}{axis}" for name in ("acceleration", "gravity", "rotationRate") for axis in "XYZ"]
    scales = np.r_[np.full(6, scale), np.ones(3)]
    rows = (
        f"{(START_US + 20_000 * i) * 1000},{i / 50},{','.join(f'{v:.9f}' for v in row * scales)}"
        for i, row in enumerate(motion)
    )
    return "\n".join(["time,seconds_elapsed," + ",".join(names), *rows]).encode() + b"\n"

"""How fast `activity fetch` brings files of a server of this machine into a folder, and in how much memory.

    python benchmarks/fetching.py [--gigabytes 5] [--files 1] [--repetitions 3] [--folder FOLDER]

The server and each fetch are processes of their own. Prints JSON: MB/s (writing to the disk and hashing included), and
the most memory that the fetch had, beside that of a fetch of 50 MB. What was fetched is deleted after each run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from summaries import Json, spread

BLOCK = random.Random(1).randbytes(1 << 20)
SMALL = 50  # blocks


class Handler(BaseHTTPRequestHandler):
    """Sends /BLOCKS/NAME: so many blocks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The whole file."""
        blocks = int(self.path.split("/")[1])
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(blocks * len(BLOCK)))
        self.end_headers()
        for _ in range(blocks):
            self.wfile.write(BLOCK)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def serve() -> None:
    """Serve until the process is killed; the port goes to standard output."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


def measure(port: int, folder: Path, files: int, blocks: int) -> tuple[float, float]:
    """MB/s of a fetch, and the most megabytes of memory that it had."""
    names = [
        {"name": f"{n}.csv", "address": f"http://127.0.0.1:{port}/{blocks}/{n}.csv"} for n in range(files)
    ]
    (folder / "manifest.json").write_text(json.dumps({"files": names}), encoding="utf-8")
    environment = os.environ | {
        "ACTIVITY_FETCH__MANIFESTS": json.dumps({"casas": str(folder / "manifest.json")}),
        "NO_PROXY": "127.0.0.1",
    }
    words = [sys.executable, "-m", "activitymodule", "fetch", "casas", "--to", str(folder / "raw"), "--json"]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the fetch ended with code {process.returncode}")
    report = json.loads(text)
    on_disk = sum(path.stat().st_size for path in (folder / "raw").glob("*.csv"))
    if on_disk != report["bytes"] or on_disk != files * blocks * len(BLOCK):
        raise SystemExit(f"{report['bytes']:,} bytes were fetched, and {on_disk:,} are there")
    shutil.rmtree(folder / "raw")
    return report["bytes"] / report["seconds"] / 1e6, used.ru_maxrss / 1024


def main() -> int:
    """Measure, and print."""
    if sys.argv[1:] == ["--serve"]:
        serve()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to fetch to; a temporary folder unless given")
    asked = parser.parse_args()
    blocks = round(asked.gigabytes * 1e9 / len(BLOCK) / asked.files)
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, encoding="utf-8"
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            with tempfile.TemporaryDirectory(dir=asked.folder, prefix="activity-fetching-") as name:
                _, small = measure(port, Path(name), asked.files, SMALL)
                runs = [measure(port, Path(name), asked.files, blocks) for _ in range(asked.repetitions)]
        finally:
            server.kill()
    result: Json = {
        "gigabytes": asked.gigabytes,
        "files": asked.files,
        "megabytes_per_second": spread([rate for rate, _ in runs]),
        "megabytes_of_memory": spread([memory for _, memory in runs]),
        "megabytes_of_memory_for_50_megabytes": round(small),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

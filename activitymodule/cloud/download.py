"""The bytes of an address in their order: goes on by ranges after a cut, and notices a file that changes mid-way."""

from __future__ import annotations

import email.utils
import random
import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from activitymodule.errors import (
    ConfigError,
    DataError,
    FileChangedError,
    InterruptedFetchError,
    NoRangesError,
    NotAllowedError,
    NotFoundError,
    ServiceUnavailableError,
)

BLOCK = 1 << 20
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_HTML = (b"<!doctype html", b"<html")
_PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Patience:
    """How often an address is asked again while nothing arrives, and how long is waited.

    stall_seconds : without a byte for so long a connection counts as cut; first_wait, longest_wait : seconds, doubled
    from one attempt to the next
    """

    attempts: int = 8
    stall_seconds: float = 60
    first_wait: float = 1
    longest_wait: float = 60


class Web:
    """How addresses are read: one session of connections, a patience, and an event that ends all of it."""

    def __init__(self, patience: Patience, stop: threading.Event, pool: int = 4) -> None:
        self.patience = patience
        self.stop = stop
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=2 * pool))

    def wait(self, seconds: float) -> None:
        """Wait. Raises InterruptedFetchError where everything is to end."""
        if self.stop.is_set() or (seconds and self.stop.wait(seconds)):
            raise InterruptedFetchError(
                "fetching was interrupted; run the command again: it goes on where it was"
            )


class Download:
    """The bytes of an address from `position` to its end, or up to `until`.

    size : bytes of the whole file, once known; validator : the ETag or date by which a changed file is noticed
    """

    def __init__(
        self,
        web: Web,
        address: str,
        *,
        position: int = 0,
        until: int | None = None,
        size: int | None = None,
        validator: str | None = None,
        page: bool = False,
    ) -> None:
        """Page : whether HTML is what is asked for; else it comes in place of a file that cannot be had now."""
        self.address = address
        self.position = position
        self.size = size
        self.validator = validator
        self._given = size, validator
        self._page = page or urlsplit(address).path.endswith(_PAGES)
        self._until = until
        self._web = web
        self._failures = 0
        self._response: requests.Response | None = None

    def open(self) -> None:
        """Ask for the bytes, so that size and validator are known. Raises as `read` does."""
        if self._response is None:
            self._response = self._connect()

    def read(self) -> bytes:
        """The next bytes, at most BLOCK; empty at the end.

        Raises FileChangedError or NoRangesError where it must be read from the start again, ServiceUnavailableError
        or DataError where the server keeps failing, NotFoundError and NotAllowedError at once.
        """
        while True:
            self._web.wait(0)
            if self._end is not None and self.position >= self._end:
                self.close()
                return b""
            self.open()
            assert self._response is not None
            try:
                # what has arrived: a whole block would be lost with the connection
                block: bytes = self._response.raw.read1(BLOCK, decode_content=False)
            except (HTTPError, OSError) as error:
                self._lost(f"the connection was lost ({error})")
                continue
            if self.position == 0 and block.lstrip()[:14].lower().startswith(_HTML) and not self._page:
                self.size, self.validator = self._given  # what is known now is the page's
                self._lost("a page of HTML came in its place")
                continue
            if block:
                self.position += len(block)
                self._failures = 0
                if self._end is not None and self.position > self._end:
                    raise DataError(
                        f"{self.address} holds more than the {self._end:,} bytes that it should have"
                    )
                return block
            if self._end is None:
                self.size = self.position
            elif self.position < self._end:
                self._lost(f"it ended after {self.position:,} of {self._end:,} bytes")

    def close(self) -> None:
        """End the connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    @property
    def _end(self) -> int | None:
        return self.size if self._until is None else self._until

    def _lost(self, reason: str, wait: float | None = None) -> None:
        self.close()
        self._failures += 1
        patience = self._web.patience
        if self._failures >= patience.attempts:
            raise ServiceUnavailableError(
                f"{self.address} could not be fetched in {self._failures} attempts: {reason}"
            )
        doubled: float = patience.first_wait * 2 ** (self._failures - 1)
        asked = doubled * random.uniform(0.5, 1) if wait is None else wait
        self._web.wait(min(asked, patience.longest_wait))

    def _connect(self) -> requests.Response:
        stall = self._web.patience.stall_seconds
        while True:
            headers = {"Accept-Encoding": "identity"}
            if self.position or self._until is not None:
                headers["Range"] = f"bytes={self.position}-{'' if self._until is None else self._until - 1}"
                if self.validator:
                    headers["If-Range"] = self.validator
            try:
                response = self._web.session.get(
                    self.address, headers=headers, stream=True, timeout=(stall, stall)
                )
            except ValueError as error:  # requests' errors of an address are ValueErrors
                raise ConfigError(f"{self.address} is no address that can be fetched ({error})") from error
            except requests.RequestException as error:
                self._lost(f"the server does not answer ({error})")
                continue
            if response.status_code in _AGAIN:
                self._lost(f"the server answers {response.status_code}", wait=_retry_after(response))
                response.close()
                continue
            try:
                self._accept(response, asked_range="Range" in headers)
            except BaseException:
                response.close()
                raise
            return response

    def _accept(self, response: requests.Response, *, asked_range: bool) -> None:
        """Check an answer against what is known of the file."""
        status = response.status_code
        if status in (401, 403):
            raise NotAllowedError(f"{self.address} may not be fetched: the server answers {status}")
        if status in (404, 410):
            raise NotFoundError(f"{self.address} does not exist: the server answers {status}")
        if status == 416:
            raise FileChangedError(f"{self.address} is shorter than before: it changed on its server")
        if status not in (200, 206):
            raise DataError(f"{self.address} cannot be fetched: the server answers {status}")
        etag = response.headers.get("ETag", "")
        validator = response.headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
        if self.validator and validator and validator != self.validator:
            raise FileChangedError(f"{self.address} changed on its server while it was fetched")
        self.validator = self.validator or validator
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        if status == 206:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not found or int(found[1]) != self.position:
                raise NoRangesError(f"{self.address}: the server sends another range than it was asked for")
            total = int(found[3]) if found[3] != "*" else None
        elif asked_range:
            raise NoRangesError(f"{self.address}: the server knows no ranges")
        if self.size is None:
            self.size = total
        elif total is not None and total != self.size:
            kind = FileChangedError if self.position else DataError
            raise kind(f"{self.address} should have {self.size:,} bytes, and has {total:,} on its server")


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to wait; None where it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    parsed = email.utils.parsedate_tz(text) if text else None
    return max(0.0, email.utils.mktime_tz(parsed) - time.time()) if parsed else None


def fetched_text(web: Web, address: str, most: int = 64 << 20) -> str:
    """A small text, such as a manifest or a page.

    Raises as `Download.read`, and DataError where it is larger than `most` bytes or no UTF-8.
    """
    text = bytearray()
    download = Download(web, address, page=True)
    while block := download.read():
        text += block
        if len(text) > most:
            download.close()
            raise DataError(f"{address} is larger than {most >> 20} MB")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{address} is not UTF-8 text") from None

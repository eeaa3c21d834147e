"""Manifests of raw data: which files there are, and where."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from activitymodule.cloud.download import Web, fetched_text
from activitymodule.cloud.zips import safe_name
from activitymodule.errors import ConfigError, DataError
from activitymodule.settings import Settings, resolve

RECORDINGS = (".zip", ".csv", ".csv.gz", ".tar.gz", ".tgz", ".parquet")


class Entry(BaseModel):
    """A file. size : bytes; sha256 : of the file as it is on its server; person : whose it is, if it is one's alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    address: str = Field(pattern=r"^https?://")
    size: int | None = Field(None, ge=0)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    person: str | None = None

    @property
    def stem(self) -> str:
        """The name without what says the format: `a/p1` of `a/p1.csv.gz`."""
        return stem(self.name)


class Manifest(BaseModel):
    """Files with different names, each below the target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: tuple[Entry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Manifest:
        names = [entry.name for entry in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have the same name")
        return self


def stem(name: str) -> str:
    """A name without what says the format."""
    lower = name.lower()
    return next((name[: -len(end)] for end in RECORDINGS if lower.endswith(end)), name)


def read(config: Settings, source: str, web: Web) -> Manifest:
    """The manifest of a source, from the file or address in `fetch.manifests`.

    Of a page of HTML the links to recordings are the files. Raises ConfigError where there is none for this source,
    DataError for what is no manifest, and what the web raises.
    """
    where = config.fetch.manifests.get(source)
    if not where:
        known = ", ".join(sorted(config.fetch.manifests)) or "none"
        raise ConfigError(
            f"there is no manifest of {source!r}; set fetch.manifests in config.yaml. Those of {known} are set"
        )
    address = "://" in where
    text = fetched_text(web, where) if address else _file(resolve(where))
    is_page = address and text.lstrip()[:14].lower().startswith(("<!doctype html", "<html"))
    made = {"files": _linked(text, where)} if is_page else _tree(text, where)
    try:
        manifest = Manifest.model_validate(made)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{where} is no manifest: {place} {first['msg']}") from None
    for entry in manifest.files:
        safe_name(entry.name, where)
    return manifest


def chosen(manifest: Manifest, people: list[str] | None) -> tuple[Entry, ...]:
    """The files that may hold recordings of these people: their own, and archives of several people.

    Raises ConfigError where there is none.
    """
    if people is None:
        return manifest.files
    kept = tuple(
        entry
        for entry in manifest.files
        if (entry.person or PurePosixPath(entry.stem).name) in people
        or (entry.person is None and entry.name.lower().endswith(".zip"))
    )
    if not kept:
        raise ConfigError(f"the manifest has no file of {', '.join(people)[:200]}")
    return kept


def _file(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read the manifest {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text") from None


def _tree(text: str, where: str) -> object:
    try:
        return yaml.safe_load(text)  # JSON is YAML
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{where} is no manifest: {str(error).splitlines()[0]}") from None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _linked(page: str, where: str) -> list[dict[str, str]]:
    links = _Links()
    links.feed(page)
    found: dict[str, dict[str, str]] = {}
    for link in links.found:
        address = urljoin(where, link)
        name = unquote(urlsplit(address).path.rpartition("/")[2])
        if name.lower().endswith(RECORDINGS) and re.match("https?://", address):
            found.setdefault(name, {"name": name, "address": address})
    if not found:
        raise DataError(
            f"the page {where} links to no {', '.join(RECORDINGS)}; write a manifest (docs/cloud.md) and set "
            "fetch.manifests to it"
        )
    return list(found.values())

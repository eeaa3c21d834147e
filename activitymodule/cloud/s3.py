"""Files in a bucket of S3: large ones by multipart uploads, which a later run can go on with."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from activitymodule.cloud.aws import client, explained, missing
from activitymodule.cloud.download import BLOCK
from activitymodule.errors import ConfigError, NotFoundError

LEAST_PART = 16 << 20
_MOST_PARTS = 9_000  # S3 takes 10,000
_UNKNOWN_PART = 64 << 20  # of a file whose size nobody tells: up to 600 GB


@dataclass(frozen=True)
class Upload:
    """A multipart upload that was not completed."""

    key: str
    id: str
    begun_at: datetime


class Bucket:
    """A prefix of a bucket, s3://BUCKET/PREFIX."""

    def __init__(self, address: str) -> None:
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise ConfigError(f"{address} names no bucket; write s3://BUCKET/PREFIX")
        self.bucket = bucket
        self.prefix = prefix.strip("/")
        self.address = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.client: BaseClient = client("s3")

    def key(self, name: str) -> str:
        """The key of a file."""
        return f"{self.prefix}/{name}".lstrip("/")

    def _doing(self, what: str, name: str) -> contextlib.AbstractContextManager[None]:
        return explained(f"{what} s3://{self.bucket}/{self.key(name)}")

    def size(self, name: str) -> int | None:
        """Bytes of an object."""
        with self._doing("looking for", name):
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=self.key(name))
            except ClientError as error:
                if missing(error):
                    return None
                raise
        size: int = found["ContentLength"]
        return size

    def sink(self, name: str, *, upload: str = "", size: int | None = None) -> UploadSink:
        """An object to write."""
        part = _UNKNOWN_PART if size is None else max(LEAST_PART, -(-size // _MOST_PARTS))
        return UploadSink(self.client, self.bucket, self.key(name), upload, part)

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of an object."""
        with self._doing("reading", name):
            body = self.client.get_object(Bucket=self.bucket, Key=self.key(name))["Body"]
            yield from body.iter_chunks(BLOCK)

    def write_whole(self, name: str, content: bytes) -> None:
        """Write a small object."""
        with self._doing("writing", name):
            self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=content)

    def remove(self, name: str) -> None:
        """Delete an object."""
        with self._doing("deleting", name):
            self.client.delete_object(Bucket=self.bucket, Key=self.key(name))

    def names(self, folder: str) -> list[str]:
        """Names of all objects below a folder."""
        return list(self.etags(folder))

    def etags(self, folder: str) -> dict[str, str]:
        """The ETag of each object below a folder, which changes with its content, by its name."""
        start = self.key("") if self.prefix else ""
        with self._doing("listing", folder):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.key(folder).rstrip('/')}/".lstrip("/")
            )
            found = {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", ())}
        return {key.removeprefix(start): etag.strip('"') for key, etag in found.items()}

    def region(self) -> str:
        """The region of the bucket, "" where S3 does not tell. Raises NotFoundError."""
        with explained(f"looking for the bucket s3://{self.bucket}"):
            answer = self.client.head_bucket(Bucket=self.bucket)["ResponseMetadata"]
        found: str = answer["HTTPHeaders"].get("x-amz-bucket-region", "")
        return found

    def uploads(self) -> list[Upload]:
        """The uploads below the prefix that were not completed."""
        with explained(f"listing uploads to {self.address}"):
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}/".lstrip("/")
            )
            return [
                Upload(one["Key"], one["UploadId"], one["Initiated"])
                for page in pages
                for one in page.get("Uploads", ())
            ]

    def abort(self, key: str, upload: str) -> None:
        """Give an upload up, with its parts; one that is gone is no error."""
        with (
            contextlib.suppress(NotFoundError),
            explained(f"giving up an upload to s3://{self.bucket}/{key}"),
        ):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)


def check_region(address: str, region: str) -> None:
    """Raise ConfigError where the bucket of an address is in another region than the jobs that use it."""
    bucket = Bucket(address)
    found = bucket.region()
    if found and found != region:
        raise ConfigError(
            f"the bucket {bucket.bucket} is in {found}, and jobs would run in {region}, which cannot use it; set "
            "AWS_DEFAULT_REGION to the bucket's region, or cloud.staging to a bucket here"
        )


def read_log(logs: str, folder: str, start: str, job: str) -> str:
    """The text of a log that EMR wrote: the last file below logs/folder whose name begins, somewhere, with `start`.

    Raises NotFoundError where there is none.
    """
    bucket = Bucket(logs)
    found = [name for name in bucket.names(folder) if f"/{start}" in name]
    if not found:
        raise NotFoundError(
            f"{logs} has no {start.rpartition('/')[2]} of the job {job} yet; EMR writes logs with some minutes' delay"
        )
    content = b"".join(bucket.read(max(found)))
    try:
        return gzip.decompress(content).decode("utf-8", "replace")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return content.decode("utf-8", "replace")


class UploadSink:
    """An object as a multipart upload, begun with the first whole part; a smaller one is put in one piece."""

    def __init__(self, s3: BaseClient, bucket: str, key: str, upload: str, part_bytes: int) -> None:
        self._s3, self._bucket, self._key = s3, bucket, key
        self._part_bytes = part_bytes
        self._held = bytearray()
        self._parts: list[dict[str, str | int]] = []
        self.upload = upload
        self.position = 0
        if upload:
            self._find_parts()

    def _doing(self) -> contextlib.AbstractContextManager[None]:
        return explained(f"writing s3://{self._bucket}/{self._key}")

    def _find_parts(self) -> None:
        """Take over the parts of an earlier run; without an upload of that name it begins again."""
        with self._doing():
            try:
                pages = self._s3.get_paginator("list_parts").paginate(
                    Bucket=self._bucket, Key=self._key, UploadId=self.upload
                )
                found = [part for page in pages for part in page.get("Parts", ())]
            except ClientError as error:
                if not missing(error):
                    raise
                self.upload, found = "", []
        for number, part in enumerate(found, 1):
            if part["PartNumber"] != number or part["Size"] != self._part_bytes:
                break
            self._parts.append({"PartNumber": number, "ETag": part["ETag"]})
            self.position += part["Size"]

    def prefix(self) -> None:
        """Parts cannot be read before the upload is complete."""

    def write(self, block: bytes) -> None:
        """Append bytes; a whole part is sent."""
        self._held += block
        self.position += len(block)
        while len(self._held) > self._part_bytes:
            self._send(self._part_bytes)

    def _send(self, count: int) -> None:
        with self._doing(), memoryview(self._held)[:count] as part:
            if not self.upload:
                begun = self._s3.create_multipart_upload(Bucket=self._bucket, Key=self._key)
                self.upload = begun["UploadId"]
            number = len(self._parts) + 1
            sent = self._s3.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self.upload,
                PartNumber=number,
                Body=bytes(part),
            )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        del self._held[:count]

    def commit(self) -> None:
        """Make the object of the parts."""
        if not self.upload:
            with self._doing():
                self._s3.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._held))
            return
        if self._held:
            self._send(len(self._held))
        with self._doing():
            self._s3.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self.upload,
                MultipartUpload={"Parts": self._parts},
            )

    def keep(self) -> None:
        """What is in whole parts stays in the upload."""
        self._held.clear()

    def discard(self) -> None:
        """Give the upload up, with its parts."""
        self._held.clear()
        if self.upload:
            with contextlib.suppress(NotFoundError), self._doing():
                self._s3.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self.upload)
            self.upload = ""

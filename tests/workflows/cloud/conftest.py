"""AWS of this process, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from own_cloud import own_cloud


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The address of moto's server, which has the bucket `raw`."""
    with own_cloud() as address:
        boto3.client("s3").create_bucket(
            Bucket="raw", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield address

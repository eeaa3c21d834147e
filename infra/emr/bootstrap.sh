#!/bin/bash
# Bootstrap action of the clusters that `activity cloud run --on emr-ec2` makes: Python 3.11 and the packages of the jobs,
# as requirements.lock pins them. Arguments: the addresses of the staged code and of requirements.lock. The nodes need a
# way to Python's packages: a subnet with a NAT gateway, or a mirror by PIP_INDEX_URL and UV_INDEX_URL.
set -euo pipefail
sudo dnf install -y python3.11 python3.11-pip libgomp
cd "$(mktemp -d)"
aws s3 cp --only-show-errors "$1" - | tar -xz pyproject.toml
aws s3 cp --only-show-errors "$2" requirements.lock
# uv chooses the packages of the extras, as in infra/docker/emr.Dockerfile
awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock > uv.lock
python3.11 -m pip install --no-cache-dir --no-deps --require-hashes --target uv -r uv.lock
sudo env UV_SYSTEM_CERTS=1 uv/bin/uv pip install --no-cache --system --python python3.11 \
    --constraints requirements.lock --requirements pyproject.toml --extra stream --extra cloud \
    --config-settings-package 'pyspark:--build-option=--compression=stored'
cd / && rm -rf "$OLDPWD"

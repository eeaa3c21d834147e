# The image of Spark on EMR Serverless: EMR's own, with Python 3.11, the packages of the jobs as requirements.lock pins
# them, and this project. EMR_IMAGE is the base image of the release, as AWS names it ("Customizing an EMR Serverless
# image" in its guide).
#   docker build -f infra/docker/emr.Dockerfile --build-arg EMR_IMAGE=... -t IMAGE .
ARG EMR_IMAGE
FROM ${EMR_IMAGE}

USER root
RUN dnf install -y python3.11 python3.11-pip libgomp && dnf clean all

COPY pyproject.toml requirements.lock /opt/activity/
# uv chooses the packages of the extras; it is gone afterwards. Of pyspark only what the driver imports is needed: the
# Spark that runs is EMR's.
RUN cd /opt/activity && \
    awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock > /tmp/uv.lock && \
    python3.11 -m pip install --no-cache-dir --no-deps --require-hashes --target /tmp/uv -r /tmp/uv.lock && \
    UV_SYSTEM_CERTS=1 /tmp/uv/bin/uv pip install --no-cache --system --python python3.11 --constraints requirements.lock \
        --requirements pyproject.toml --extra stream --extra cloud \
        --config-settings-package 'pyspark:--build-option=--compression=stored' && \
    rm -rf /tmp/uv /tmp/uv.lock "$(python3.11 -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')/jars"

RUN echo /opt/activity > "$(python3.11 -c 'import site; print(site.getsitepackages()[0])')/activity.pth"
COPY config.yaml config.aws.yaml /opt/activity/
COPY activitymodule /opt/activity/activitymodule
COPY spark /opt/activity/spark
COPY sql /opt/activity/sql
RUN install -d -o hadoop -g hadoop /opt/activity/reports

ENV ACTIVITY_HOME=/opt/activity PYSPARK_PYTHON=/usr/bin/python3.11 PYSPARK_DRIVER_PYTHON=/usr/bin/python3.11
USER hadoop:hadoop

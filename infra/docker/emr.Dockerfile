# The image of Spark on EMR Serverless: EMR's own, with Python 3.11, what is locked, and this project. EMR_IMAGE is the
# base image of the release, as AWS names it ("Customizing an EMR Serverless image" in its guide).
#   docker build -f infra/docker/emr.Dockerfile --build-arg EMR_IMAGE=... -t IMAGE .
ARG EMR_IMAGE
FROM ${EMR_IMAGE}

USER root
RUN dnf install -y python3.11 python3.11-pip libgomp && dnf clean all

COPY requirements.lock /opt/activity/
# of pyspark only what the driver imports is needed: the Spark that runs is EMR's
RUN python3.11 -m pip install --no-cache-dir --require-hashes -r /opt/activity/requirements.lock && \
    rm -rf "$(python3.11 -c 'import site; print(site.getsitepackages()[0])')/pyspark/jars"

RUN echo /opt/activity > "$(python3.11 -c 'import site; print(site.getsitepackages()[0])')/activity.pth"
COPY pyproject.toml config.yaml config.aws.yaml /opt/activity/
COPY activitymodule /opt/activity/activitymodule
COPY spark /opt/activity/spark
COPY sql /opt/activity/sql
RUN install -d -o hadoop -g hadoop /opt/activity/reports

ENV ACTIVITY_HOME=/opt/activity PYSPARK_PYTHON=/usr/bin/python3.11 PYSPARK_DRIVER_PYTHON=/usr/bin/python3.11
USER hadoop:hadoop

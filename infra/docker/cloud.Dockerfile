# The image of the services (console, MLflow, Airflow, single commands) on ECS and Cloud Run, and of Spark on Dataproc
# Serverless, which brings Spark and Java itself:
#   docker build -f infra/docker/cloud.Dockerfile -t IMAGE .
FROM python:3.11-slim-bookworm

# procps and tini: Dataproc starts processes with them; libgomp1: LightGBM
RUN apt-get update && apt-get install -y --no-install-recommends procps tini libgomp1 && \
    rm -rf /var/lib/apt/lists/*

COPY requirements.lock /opt/activity/
RUN pip install --no-cache-dir --require-hashes -r /opt/activity/requirements.lock

# a path file and no PYTHONPATH, which Spark writes over
RUN echo /opt/activity > "$(python -c 'import site; print(site.getsitepackages()[0])')/activity.pth"
COPY pyproject.toml config.yaml config.aws.yaml config.gcp.yaml /opt/activity/
COPY activitymodule /opt/activity/activitymodule
COPY annotation /opt/activity/annotation
COPY airflow /opt/activity/airflow
COPY spark /opt/activity/spark
COPY sql /opt/activity/sql

# the number is Dataproc's
RUN groupadd -g 1099 spark && useradd -u 1099 -g 1099 -d /home/spark -m spark && \
    install -d -o spark -g spark /opt/activity/reports
ENV ACTIVITY_HOME=/opt/activity PYSPARK_PYTHON=/usr/local/bin/python PYTHONUNBUFFERED=1
USER spark
WORKDIR /opt/activity
CMD ["python", "-m", "activitymodule", "--help"]

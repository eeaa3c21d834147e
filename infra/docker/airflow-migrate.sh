#!/usr/bin/env bash
# Airflow's tables, its folder for logs, and the file its only user's password stands in.
set -euo pipefail

mkdir -p "$AIRFLOW_HOME/logs"
(
    umask 077
    printf '{"admin": "%s"}\n' "$ACTIVITY_AIRFLOW__PASSWORD" >"$AIRFLOW_HOME/passwords.json.part"
    mv "$AIRFLOW_HOME/passwords.json.part" "$AIRFLOW_HOME/passwords.json"
)
airflow db migrate

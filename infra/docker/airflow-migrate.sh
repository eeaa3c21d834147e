#!/usr/bin/env bash
# Airflow's tables, its folder for logs, and the file its only user's password stands in.
set -euo pipefail

umask 077
mkdir -p "$AIRFLOW_HOME/logs"
# older versions wrote logs that others could read
chmod -R go= "$AIRFLOW_HOME"
printf '{"admin": "%s"}\n' "$ACTIVITY_AIRFLOW__PASSWORD" >"$AIRFLOW_HOME/passwords.json.part"
mv "$AIRFLOW_HOME/passwords.json.part" "$AIRFLOW_HOME/passwords.json"
airflow db migrate

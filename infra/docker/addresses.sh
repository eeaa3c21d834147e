#!/usr/bin/env bash
# Waits until predictions arrive, says where to look, and stays: `docker compose logs ready` shows it again.
set -euo pipefail

arrived() {
    activity db query --format csv "SELECT count(*) FROM predictions WHERE processed_at > now() - interval '1 minute'" |
        tail -n 1
}

until [ "$(arrived)" -gt 0 ]; do sleep 2; done

row() { printf '  %-22s %-30s %s\n' "$1" "$2" "$3"; }
in_profile() { case ",$COMPOSE_PROFILES," in *",$1,"*) return 0 ;; *) return 1 ;; esac; }

echo
echo "Ready: predictions arrive. The passwords stand in .env."
echo
row "where to look" "address" "sign in"
row "console" "http://127.0.0.1:$CONSOLE_PORT" "admin, CONSOLE_ADMIN_PASSWORD"
row "models (MLflow)" "http://127.0.0.1:$REGISTRY_PORT" "admin, ACTIVITY_REGISTRY__PASSWORD"
row "Spark" "http://127.0.0.1:$SPARK_PORT" "-"
if in_profile orchestration; then
    row "Airflow" "http://127.0.0.1:$AIRFLOW_PORT" "admin, ACTIVITY_AIRFLOW__PASSWORD"
fi
if in_profile observability; then
    row "Grafana" "http://127.0.0.1:$GRAFANA_PORT" "admin, GRAFANA_PASSWORD"
    row "Prometheus" "http://127.0.0.1:$PROMETHEUS_PORT" "-"
    row "Kafka's pages" "http://127.0.0.1:$KAFKA_UI_PORT" "-"
fi
row "Kafka" "127.0.0.1:$BROKER_PORT" "-"
row "PostgreSQL" "127.0.0.1:$STORE_PORT" "docker compose exec store psql -U postgres activity"
echo

touch /tmp/ready
exec sleep infinity

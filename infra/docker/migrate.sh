#!/usr/bin/env bash
# The store's tables and grants, the first user of the console, and the token by which Prometheus reads its figures.
# Run at every start; what is there already is left as it is.
set -euo pipefail

activity db upgrade

if [ "$(activity users list --json)" = "[]" ]; then
    printf '%s\n' "$CONSOLE_ADMIN_PASSWORD" | activity users add admin --role admin --ask
fi

token=/data/metrics/metrics_token
if [ ! -s "$token" ]; then
    (umask 022 && activity tokens add "prometheus-$(date +%Y%m%d%H%M%S)" >"$token.part" && mv "$token.part" "$token")
fi

#!/bin/sh
# A verb of the command line, on data of the volume /data. Secrets are made at the first start.
set -eu
umask 077
mkdir -p /data/local /data/lake /data/reports
./init.sh --quick
exec activity "$@"

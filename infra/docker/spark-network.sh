#!/usr/bin/env bash
# Runs a part of Spark so that its ports listen in spark-master's network only: infra/docker/spark-network.sh COMMAND...
# A container of several networks would else take the address of any of them, for executors and drivers alike.
set -euo pipefail
SPARK_LOCAL_HOSTNAME=$(python -c '
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.connect(("spark-master", 7077))  # sends nothing: the kernel chooses the address of this side
    print(one.getsockname()[0])
')
export SPARK_LOCAL_HOSTNAME
exec "$@"

#!/usr/bin/env bash
# Runs an executor of Spark's Kubernetes master, in a pod that the driver makes from the chart's template (infra/helm).
# Spark says all by variables: SPARK_JAVA_OPT_0, ... one option of Java each, the others as below.
set -euo pipefail
umask 077

options=()
while IFS= read -r name; do options+=("${!name}"); done < <(compgen -A variable SPARK_JAVA_OPT_ | sort -t_ -k4 -n)
home=$(python -c 'import importlib.util; print(importlib.util.find_spec("pyspark").submodule_search_locations[0])')

# SPARK_CONF_DIR is here the folder of a ConfigMap that is not made: the image has its own
exec "$JAVA_HOME/bin/java" "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
    -cp "$ACTIVITY_HOME/infra/docker/spark:${SPARK_CLASSPATH:-}:$home/jars/*" \
    org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
    --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
    --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
    --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"

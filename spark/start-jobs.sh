#!/usr/bin/env bash
# Submits one of the two streaming jobs to a Spark cluster, in client mode, and stays until it ends:
#
#   spark/start-jobs.sh predict [options of `activity score`]
#   spark/start-jobs.sh generate [options of `activity generate`]
#
# The cluster is the setting spark.master; memory and cores of the job come from the environment:
#   SPARK_EXECUTOR_MEMORY (768m)  SPARK_EXECUTOR_CORES (1)  SPARK_CORES_MAX (all there are)
#   SPARK_DRIVER_MEMORY (spark.driver_memory)
# Executors need the project and the Kafka connector at the same paths as here, as in the project's image;
# spark-defaults.conf in SPARK_CONF_DIR says where. SIGTERM ends the job in order: the batch at hand is finished.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set /p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; }

case "${1:-}" in
predict) script=spark/predict_activity.py ;;
generate) script=spark/generate_new_data.py ;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac
shift

python=${PYSPARK_DRIVER_PYTHON:-python}
read -r master memory < <(
    "$python" -c 'from activitymodule.settings import settings; s = settings().spark; print(s.master, s.driver_memory)'
)

arguments=(
    --master "$master"
    --deploy-mode client
    --driver-memory "${SPARK_DRIVER_MEMORY:-$memory}"
    --executor-memory "${SPARK_EXECUTOR_MEMORY:-768m}"
    --conf "spark.executor.cores=${SPARK_EXECUTOR_CORES:-1}"
)
if [ -n "${SPARK_CORES_MAX:-}" ]; then arguments+=(--conf "spark.cores.max=$SPARK_CORES_MAX"); fi

spark-submit "${arguments[@]}" "$script" "$@" &
submitted=$!
# spark-submit would die of the signal and leave the job in the middle of its batch: the job itself gets it
# shellcheck disable=SC2317
end() { pkill -TERM -P "$submitted" || kill -TERM "$submitted" 2>/dev/null || true; }
trap end TERM INT
# wait returns when a signal came, and the job may need a little longer
code=0
while kill -0 "$submitted" 2>/dev/null; do wait "$submitted" && code=0 || code=$?; done
exit "$code"

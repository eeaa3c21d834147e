#!/usr/bin/env bash
# Brings back what backup.sh kept: infra/docker/restore.sh FOLDER
# Only PostgreSQL may run meanwhile, and it is started here. What the databases hold now is replaced; files of the
# lake and of the models are added, those of the same name replaced. Where the broker has its data still, the stream
# goes on where the backup ends; a new broker is read from its start.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,5s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; }
folder=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for file in activity.dump airflow.dump mlflow.dump models.tar lake.tar; do
    [ -s "$folder/$file" ] || { echo "restore: $folder/$file is missing; nothing was changed" >&2; exit 1; }
done
running=$(docker compose ps --services --status running | grep -vx store || true)
if [ -n "$running" ]; then
    echo "restore: stop everything first (docker compose down); these still run:" $running >&2
    exit 1
fi

docker compose up --detach --wait store
docker compose run --rm --no-deps -T roles
for database in activity airflow mlflow; do
    docker compose exec -T store pg_restore --username=postgres --dbname="$database" --clean --if-exists \
        --exit-on-error --single-transaction <"$folder/$database.dump"
    echo "restored the database $database"
done
docker compose run --rm --no-deps -T registry tar -C /data/models -xf - <"$folder/models.tar"
docker compose run --rm --no-deps -T console tar -C /data/lake -xf - <"$folder/lake.tar"
echo "restored models and lake"

docker compose run --rm --no-deps -T migrate activity db upgrade
if docker compose run --rm --no-deps -T --entrypoint test broker -e /var/lib/kafka/data/meta.properties </dev/null; then
    echo "the broker has its data still: the stream resumes from the restored record of offsets"
else
    # what the store remembers of a topic that is gone would keep the stream from beginning
    docker compose exec -T store psql --username=postgres --dbname=activity --quiet --command \
        "UPDATE batches SET topic = topic || ' (before the restore of ' || to_char(now(), 'YYYY-MM-DD HH24:MI') || ')'"
fi
# store and archive say themselves where to go on; a checkpoint of the topic of another broker would be refused
docker compose run --rm --no-deps -T scorer sh -c 'rm -rf /data/checkpoints/*'
echo "next: docker compose up"

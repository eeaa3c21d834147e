#!/usr/bin/env bash
# Copies what cannot be made again into a folder, while everything runs: infra/docker/backup.sh FOLDER
#   activity.dump, airflow.dump, mlflow.dump   the databases of PostgreSQL
#   models.tar, lake.tar                       the model files; the archive, prepared recordings, snapshots
# The broker and the checkpoint are not in it: they hold what is on its way, not what is kept. Nor is .env: keep a
# copy of it where secrets are kept. restore.sh brings all of it back.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2; }
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
umask 077

keep() { # name, command...: a copy that broke off is never taken for a whole one
    local target=$folder/$1
    shift
    "$@" </dev/null >"$target.part"
    mv "$target.part" "$target"
    echo "$(du -h "$target" | cut -f1)  $target"
}

for database in activity airflow mlflow; do
    keep "$database.dump" docker compose exec -T store pg_dump --username=postgres --format=custom "$database"
done
keep models.tar docker compose exec -T registry tar -C /data/models -cf - .
# the archive grows while it is read: a file that appears meanwhile is in the next backup
keep lake.tar docker compose exec -T console sh -c \
    'tar -C /data/lake --warning=no-file-changed -cf - . || [ $? = 1 ]'

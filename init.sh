#!/usr/bin/env bash
# Sets the project up, or brings it up to date. Prints nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'TEXT'
Usage: ./init.sh [--quick | --docker | --stage [SOURCE]] [--help]

Sets the project up in this folder; run it as often as you like.
  .venv/   a virtual environment with requirements.lock, installed by uv, every package checked by its hash
  jars/    Kafka and Spark's Kafka connector, from Maven Central, every file checked against jars.lock; and an
           archive of the classes Spark loads, made here, so that jobs start faster
  .env     generated passwords (mode 600); what is there already is kept

  --quick    without the archive of Spark's classes where packages are installed (`make demo` uses it); the next
             run makes it
  --docker   only what `docker compose up` needs: .env and the images (ten minutes the first time). Needs no Python
             and no Java; chosen automatically where they are missing and a Docker engine answers.
  --stage    for the cloud, besides all of the above: with SOURCE (such as casas) its raw data goes from the web into
             the bucket of cloud.staging (`activity fetch`), then code, Spark scripts, requirements and jars
             (`activity cloud stage`), each only where it changed; and the images, where a Docker engine answers

Needs Python 3.11, 3.12 or 3.13, JDK 17 or 21 and, the first time, a network and 6 GB of disk. About a minute.

Environment:
  PYTHON         the Python to use, where it is not on PATH
  JAVA_HOME      the JDK to use
  PIP_INDEX_URL, PIP_CERT, PIP_FIND_LINKS, UV_...   settings of pip and uv, for another package index
  MAVEN_URL      another repository in place of Maven Central

Then: . .venv/bin/activate && activity up
TEXT
}

say() { echo "init: $*" >&2; }
fail() { say "$*"; exit 1; }

with_docker=""
with_archive=yes
with_stage=""
source=""
case "${1:-}" in
"") ;;
--quick) with_archive="" ;;
--docker) with_docker=yes ;;
--stage) with_stage=yes source=${2:-} ;;
-h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac

supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
        if [ -n "$candidate" ] && supported "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[123]*/bin/python3 /opt/homebrew/bin/python3.1[123]; do
        if [ -x "$candidate" ] && supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

NO_PYTHON="Python 3.11, 3.12 or 3.13 is missing; install one with \`apt-get install python3 python3-venv\` (Debian 12 or \
later), \`brew install python@3.12\` (macOS) or \`pyenv install 3.12\`, or point PYTHON at one"

free_megabytes() { df -Pk . | awk 'NR == 2 {print int($4 / 1024)}'; }
hash_of() { "$1" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$2"; }

# Progress for a person who waits: a line that is overwritten on a terminal, else one every half minute.
watch() {
    local pid=$1 what=$2 seconds=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        seconds=$((seconds + 1))
        if [ -t 2 ]; then
            printf '\r\033[Kinit: %s (%d s)' "$what" "$seconds" >&2
        elif [ $((seconds % 30)) = 0 ]; then
            say "$what ($seconds s)"
        fi
    done
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

# uv does not read pip's settings: those that choose the index are passed on, from the environment or pip.conf.
pip_setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }
export_uv_settings() {
    local index=${PIP_INDEX_URL:-$(pip_setting index-url)} links=${PIP_FIND_LINKS:-$(pip_setting find-links)}
    local extra=${PIP_EXTRA_INDEX_URL:-$(pip_setting extra-index-url)} certificates=${PIP_CERT:-$(pip_setting cert)}
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"; fi
    if [ -n "$extra" ]; then export UV_INDEX="${UV_INDEX:-$extra}"; fi
    if [ -n "$links" ] && [ -d "$links" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"; fi
    if [ -n "$certificates" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$certificates}"; fi
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-180}"
}

# Explains why pip or uv failed, from its log, and ends.
explain_failure() {
    local log=$1
    if grep -qE 'No space left on device|os error 28' "$log"; then
        fail "the disk is full; free 4 GB and run ./init.sh again"
    elif grep -qiE 'DO NOT MATCH THE HASHES|hash mismatch' "$log"; then
        fail "a package is not the file requirements.lock lists ($(grep -iA3 -E 'do not match|hash mismatch' "$log" | grep -m1 -oE '[A-Za-z0-9_.-]+==[^ `]+' || echo "see $log")); run ./init.sh again, and if it stays so, do not use that mirror"
    elif grep -qE 'from versions: none|NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Temporary failure in name|ProxyError|Max retries|Failed to fetch|dns error|error sending request|was not found in the package registry' "$log"; then
        fail "the package index cannot be reached; check the network (a proxy: HTTPS_PROXY, a mirror: PIP_INDEX_URL) and run ./init.sh again"
    fi
    fail "the installation failed ($(grep -m1 -iE '^(error|  ×)' "$log" || tail -n 1 "$log")); see $log"
}

install_uv() {
    local log=.venv/init.log
    # the entry of the lock: a version and its hashes
    awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock >.venv/uv.lock
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off --no-deps \
        --require-hashes -r .venv/uv.lock >"$log" 2>&1 || explain_failure "$log"
}

install_requirements() {
    local log=.venv/init.log total free pid
    total=$(grep -c '^[A-Za-z0-9].*==' requirements.lock)
    free=$(free_megabytes)
    # a half-filled environment has some of it already
    if [ "$free" -lt 4000 ] && [ "$(du -sm .venv | cut -f1)" -lt 1500 ]; then
        fail "the disk is too full: $free MB are free here and 4000 MB are needed; remove something and run ./init.sh again"
    fi
    say "installing $total packages into .venv (about a minute; the log of uv is $log)"
    install_uv
    export_uv_settings
    # pyspark comes as source alone: its wheel of 400 MB of jars is not worth compressing
    .venv/bin/uv pip install --python .venv/bin/python --require-hashes -r requirements.lock \
        --config-settings-package 'pyspark:--build-option=--compression=stored' >"$log" 2>&1 &
    pid=$!
    child=$pid
    watch "$pid" "installing $total packages"
    child=""
    wait "$pid" || explain_failure "$log"
}

# so many random bytes in base64, of letters and digits alone: safe in a shell, an address and a command line
random() { head -c "$1" /dev/urandom | base64 | tr '+/' 'xy' | tr -d '=\n'; }

# Passwords and keys, made where they are missing. The first five are settings of the project; the rest is for
# docker-compose.yml: a password for each role of PostgreSQL, the first users of the pages, Airflow's keys.
write_secrets() (
    umask 077
    touch .env
    chmod 600 .env
    add() {
        if grep -qE "^$1=." .env; then return; fi
        if [ -s .env ] && [ -n "$(tail -c 1 .env)" ]; then echo >>.env; fi
        echo "$1=$2" >>.env
    }
    for name in ACTIVITY_STORE__PASSWORD ACTIVITY_STORE__ADMIN_PASSWORD ACTIVITY_CONSOLE__SECRET ACTIVITY_AIRFLOW__PASSWORD \
        ACTIVITY_REGISTRY__PASSWORD STORE_GENERATOR_PASSWORD STORE_SCORER_PASSWORD STORE_CONSOLE_PASSWORD STORE_AIRFLOW_PASSWORD \
        STORE_REGISTRY_PASSWORD STORE_READER_PASSWORD STORE_SENDER_PASSWORD CONSOLE_ADMIN_PASSWORD GRAFANA_PASSWORD \
        AIRFLOW_SESSION_SECRET AIRFLOW_JWT_SECRET; do
        add "$name" "$(random 24)"
    done
    # 32 bytes with their padding, as Fernet wants its keys; 16 bytes, as Kafka wants its number
    add AIRFLOW_FERNET_KEY "$(random 32)="
    add KAFKA_CLUSTER_ID "$(random 16)"
    add COMPOSE_PROFILES core,orchestration,observability
)

engine_answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

set_up_for_docker() {
    engine_answers || fail "no Docker engine answers; start it, or install it (docs/operations.md)"
    docker compose version >/dev/null 2>&1 || fail "docker has no compose; install its plugin (docker-compose-plugin)"
    write_secrets
    say "building the images (ten minutes the first time)"
    docker compose build --quiet || fail "an image could not be built; see above"
    say "ready; next: docker compose up"
}

# ---- one at a time: two would write into the same environment
lock_folder="${TMPDIR:-/tmp}/activity-init-$(printf '%s' "$PWD" | cksum | cut -d' ' -f1)-$(id -u)"
child=""
waited=""
until mkdir "$lock_folder" 2>/dev/null; do
    if [ ! -w "$(dirname "$lock_folder")" ]; then fail "cannot write to $(dirname "$lock_folder"); point TMPDIR at a folder that can be written"; fi
    owner=$(cat "$lock_folder/pid" 2>/dev/null || true)
    # it was killed, perhaps before it had written its number
    if ! kill -0 "${owner:-0}" 2>/dev/null || { [ -z "$owner" ] && [ "$waited" = yes ]; }; then
        rm -rf "$lock_folder"
        continue
    fi
    if [ -z "$waited" ]; then say "another ./init.sh is at work here (process ${owner:-unknown}); waiting for it"; fi
    waited=yes
    sleep 1
done
echo $$ >"$lock_folder/pid"
# shellcheck disable=SC2317
tidy() {
    if [ -n "$child" ]; then kill "$child" 2>/dev/null || true; fi
    rm -rf "$lock_folder"
}
trap tidy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -n "$with_docker" ]; then
    set_up_for_docker
    exit 0
fi

did=""

# ---- Python and Java, before anything is downloaded
if [ -x .venv/bin/python ] && supported .venv/bin/python; then
    python=.venv/bin/python
else
    if ! python=$(find_python); then
        engine_answers || fail "$NO_PYTHON"
        say "there is no Python 3.11, 3.12 or 3.13 here; setting up for docker compose alone"
        set_up_for_docker
        exit 0
    fi
fi
"$python" -m activitymodule.streaming.java || exit $?

# ---- .venv
if [ "$python" != .venv/bin/python ]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module; install it with \`apt-get install python3-venv\` (Debian)"
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv || fail "the virtual environment could not be made; see above, then run ./init.sh again"
    did=yes
fi
lock=$(hash_of .venv/bin/python requirements.lock)
if [ "$(cat .venv/.requirements.sha256 2>/dev/null || true)" != "$lock" ]; then
    install_requirements
    echo "$lock" >.venv/.requirements.sha256
    did=yes
fi

# ---- the project itself: a path and a command, which need no build and no network
here=$PWD
packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
if [ "$(cat "$packages/activitymodule.pth" 2>/dev/null || true)" != "$here" ]; then
    echo "$here" >"$packages/activitymodule.pth"
fi
command="#!/bin/sh
exec '$here/.venv/bin/python' -m activitymodule \"\$@\""
if [ "$(cat .venv/bin/activity 2>/dev/null || true)" != "$command" ]; then
    echo "$command" >.venv/bin/activity
    chmod +x .venv/bin/activity
fi

write_secrets

# ---- jars
.venv/bin/python -m activitymodule.streaming.jars || exit $?

# ---- an archive of the classes Spark loads: jobs start in four fifths of the time
if [ -n "$with_archive" ] || [ -z "$did" ]; then .venv/bin/python -m activitymodule.streaming.class_archive; fi

# ---- the cloud: raw data and code into the bucket
if [ -n "$with_stage" ]; then
    if [ -n "$source" ]; then .venv/bin/activity fetch "$source" || exit $?; fi
    .venv/bin/activity cloud stage || exit $?
    if engine_answers; then docker compose build --quiet || fail "an image could not be built; see above"; fi
fi

if [ -n "$did" ]; then
    say "ready; next: . .venv/bin/activate && activity up"
fi

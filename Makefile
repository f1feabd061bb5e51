# `make repro` and `make test` set up all they need; a second call with nothing changed is quick.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.installed-tools
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# What is imported is compiled once: some environments forbid it, and each process compiles anew.
unexport PYTHONDONTWRITEBYTECODE

# Scripts of an environment name its folder, so a checkout that was moved gets a new one.
MOVED := $(shell test "$$(cat $(INSTALLED) 2>/dev/null)" = "$$(pwd -P)" || echo moved)

.PHONY: moved install repro systems test docs lint types check clean

install: $(INSTALLED)

# Without --no-compile all modules would be compiled; most are never imported.
$(INSTALLED): requirements.lock pyproject.toml $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12")'
	$(if $(MOVED),rm -rf $(VENV))
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	test -e .git || dvc config --local core.no_scm true # a ZIP: DVC would ask for Git
	pwd -P > $@

# What only tests, linters and the docs need.
$(TOOLS): $(INSTALLED) requirements-test.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-test.lock
	touch $@

repro: $(INSTALLED)
	dvc repro

# The systems of systems.yaml in one table beside published figures, on the everyday run's data.
systems: $(INSTALLED)
	dvc repro pool folds
	eri systems

# Each processor takes a file at a time, in one thread; a fifth would wait for the longest file.
test: $(TOOLS)
	OMP_NUM_THREADS=1 python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The guides and the reference of all modules, as pages that need no network; a warning is an error.
docs: $(TOOLS)
	python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env docs docs/_build

lint: $(TOOLS)
	ruff check .
	ruff format --check .

types: $(TOOLS)
	mypy

# What must pass before a change lands.
check: lint types test

# The environment and the embedding cache stay: they are costly and never wrong.
clean:
	rm -rf data results docs/_build docs/api .mypy_cache .pytest_cache .ruff_cache

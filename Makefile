# The two commands of the README. Everything is installed into .venv, from the Python package
# index alone; weights go to .cache/weights, pinned by SHA-256.
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin
LATEST := .venv-latest

export PATH := $(BIN):$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: repro scm test setup check latest bench claims chaos clean

repro: setup scm ## curate the embedded demo corpus, or the videos params.yaml names
	dvc repro
	lipforge status
	lipforge truth

scm: # DVC wants git unless told that there is none: a copy of the tree, an archive
	@git rev-parse --git-dir > /dev/null 2>&1 || dvc config --local core.no_scm true

test: setup ## the core tests
	python -m pytest tests -n auto --maxprocesses 8 --dist loadgroup --no-loadscope-reorder

check: setup ## style, types, and a line in CHANGELOG.md for every change of code
	ruff check .
	ruff format --check .
	mypy
	python .ci/changelog.py

latest: ## the core tests with the newest versions that pyproject.toml allows, in a venv of their own
	$(PYTHON) -m venv --clear $(LATEST)
	$(LATEST)/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	$(LATEST)/bin/pip install --quiet --disable-pip-version-check --upgrade -e '.[demo,labels,train,train-logs,s3,dev]'
	$(LATEST)/bin/lipforge weights fetch
	$(LATEST)/bin/pip freeze --exclude-editable > $(LATEST)/versions.txt
	diff --unchanged-line-format= --old-line-format= constraints.txt $(LATEST)/versions.txt || true
	PATH=$(abspath $(LATEST))/bin:$$PATH $(LATEST)/bin/python -m pytest tests

setup: $(VENV)/installed
	lipforge weights fetch

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,labels,train,train-logs,s3,dev]'
	touch $@

bench: setup ## the targets of speed and memory, measured: an hour or two; real clips in ../shared/clips
	python -m benchmarks.bench

chaos: setup ## faults on purpose, rehearsed; writes the table of docs/reliability.md: half an hour
	python -m tests.chaos.table

claims: setup ## the claims of the field, repeated in small: an hour or two, resumable
	python -m benchmarks.claims.shard_sets
	python -m benchmarks.claims

clean: ## remove what a run made; the item cache and the weights stay
	rm -rf data reports

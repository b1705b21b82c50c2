# The two commands of the README. Everything is installed into .venv, from the Python package
# index alone; weights go to .cache/weights, pinned by SHA-256.
PYTHON ?= python3
VENV := .venv
BIN := $(abspath $(VENV))/bin

export PATH := $(BIN):$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: repro test setup check bench clean

repro: setup ## curate the embedded demo corpus, or the videos params.yaml names
	dvc repro
	lipforge status
	lipforge truth

test: setup ## the core tests
	python -m pytest tests

check: setup ## style and types
	ruff check .
	ruff format --check .
	mypy

setup: $(VENV)/installed
	lipforge weights fetch

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,train,train-logs,dev]'
	touch $@

bench: setup ## speed against the peers, as ratios
	python -m benchmarks.judge
	python -m benchmarks.curation data/demo/videos

clean: ## remove what a run made; the item cache and the weights stay
	rm -rf data reports

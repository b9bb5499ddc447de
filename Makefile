# Targets for people and CI. Everything is set up in .venv; nothing else is installed.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BEAM_VERSION = $(shell $(BIN)/python -c 'import apache_beam; print(apache_beam.__version__)')
PRISM := $(abspath $(VENV))/bin/prism
SAMPLE := sample
WORKERS ?= 2

.PHONY: help install run test lint types tests prism bench-sink clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(VENV)/installed ## Make .venv with the program and what it needs

$(VENV)/installed: setup.py beam_ingest/version.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one with make PYTHON=..."; exit 1; }
	@echo "installing into $(VENV), which takes a minute or two ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: $(SAMPLE)/dataset.yml ## Write a sample dataset and build its graph
	@$(BIN)/beam-ingest graph sample_graph $(SAMPLE)/dataset.yml --overwrite

$(SAMPLE)/dataset.yml: $(VENV)/installed
	@rm -rf $(SAMPLE)
	@$(BIN)/beam-ingest sample $(SAMPLE)

test: lint types tests ## Check everything: style, types and the whole test suite

lint: install ## Check style
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "run: $(BIN)/ruff format ."; exit 1; }

types: install ## Check types
	@$(BIN)/mypy --no-error-summary

tests: install prism ## Run the test suite
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

prism: install ## Build Apache Beam's Prism runner, which some tests run on (needs Go)
	@test -x $(PRISM) || { \
		command -v go >/dev/null && { \
			echo "building the Prism runner, which takes a minute or two ..."; \
			GOBIN=$(dir $(PRISM)) go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION); \
		} || echo "no Go: the tests on Prism will be skipped; install Go from your package manager"; }

bench-sink: install ## Measure what a row costs on its way into Bigtable, beside other ways
	@$(BIN)/python -W ignore -m benchmarks.sink

clean: ## Remove what was made here
	rm -rf $(VENV) $(SAMPLE) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Targets for people and CI. Everything is set up in .venv; nothing else is installed.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BEAM_VERSION = $(shell $(BIN)/python -c 'from importlib.metadata import version; print(version("apache-beam"))')
go_tool = test -x $(BIN)/$(1) || ! command -v go >/dev/null || { echo "building $(1): downloads $(3) of Go modules, and takes a minute or two ..."; \
	GOBIN=$(abspath $(BIN)) go install $(2); }
FLINK := $(abspath $(VENV))/flink
# Tests start the program some hundred times: let Python keep what it compiled, whatever the machine's custom.
unexport PYTHONDONTWRITEBYTECODE
SAMPLE := sample
SAMPLE_FILE = $(if $(VOLUMES),volumes,dataset).yml
FAST := $(addprefix tests/,format inputs/test_bad_shards.py inputs/test_check.py inputs/test_components.py \
	ingest/test_graph.py sample/test_write.py stores/test_sqlite.py volumes/test_kernels.py \
	test_arrays.py test_bad_dataset.py test_dataset_file.py test_files.py test_packaging.py test_structure.py)
WORKERS ?= 3
BENCH_CHUNKS ?= 64 512 4096
BENCH_RUNS ?= 3
BENCH_ONLY ?= ''

# Dataflow: where jobs run is in SETTINGS, from Terraform or, in CI, from the variable DATAFLOW_SETTINGS.
SETTINGS := build/settings.json
METADATA = $(dir $(SETTINGS))metadata.json
setting = $(shell $(BIN)/python -c 'import json; print(json.load(open("$(SETTINGS)"))["$(1)"]["value"])')
BUILDER ?= cloud
# Told once, or the template of a dirty tree would name an image of another second.
TAG := $(or $(TAG),$(shell git describe --always --dirty=-$$(date +%s)))
IMAGE = $(call setting,image):$(TAG)
TEMPLATE = $(call setting,template_location)
TEMPLATE_OF_TAG = $(TEMPLATE:.json=-$(TAG).json)
PYTHON_VERSION = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
LAUNCH_OPTIONS = --settings=$(SETTINGS) $(if $(STAGE),--stage=$(STAGE)) $(if $(TEST),--test) $(if $(RAW),--raw) $(if $(RESUME),--resume) \
	$(if $(WAIT),--wait) $(ARGS)

.PHONY: help install run view screenshot test lint types tests test-fast test-slow prism flink bench bench-sink settings image constraints template rollback run-dataflow status cancel clean docs

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(VENV)/installed ## Make .venv with the program and what it needs

$(VENV)/installed: pyproject.toml beam_ingest/version.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.10 to 3.13 is needed; name one with make PYTHON=..."; exit 1; }
	@echo "installing into $(VENV): downloads about 300 MB of Python packages (1.2 GB unpacked) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[beam,test]'
	@touch $@

run: $(SAMPLE)/$(SAMPLE_FILE) ## Write a sample dataset, build its graph, and report on it; VOLUMES=1 begins with two volumes, MESH=1 makes meshes
ifdef VOLUMES
	@$(BIN)/beam-ingest prepare "$(SAMPLE)/volumes.yml" --overwrite
	@$(BIN)/beam-ingest graph sample_graph "$(SAMPLE)/volumes.yml" --overwrite
	@$(BIN)/beam-ingest verify sample_graph "$(SAMPLE)/volumes.yml"
else
	@$(BIN)/beam-ingest graph sample_graph "$(SAMPLE)/dataset.yml" --overwrite
endif
	@$(BIN)/beam-ingest report sample_graph "$(SAMPLE)/$(SAMPLE_FILE)" "$(SAMPLE)/report.html"
ifdef MESH
	@$(BIN)/beam-ingest mesh sample_graph "$(SAMPLE)/$(SAMPLE_FILE)" --overwrite
endif

view: install ## Look at the sample's graph in Neuroglancer, after make run [ARGS=--no-browser]
	@$(BIN)/beam-ingest view sample_graph "$(SAMPLE)/$(SAMPLE_FILE)" $(ARGS)

screenshot: install ## Take the README's picture again, as make run MESH=1 and make view show it (needs Chromium)
	@$(MAKE) --no-print-directory run MESH=1
	@$(BIN)/python -W ignore -m tests.view.screenshot "$(SAMPLE)/$(SAMPLE_FILE)" docs/view.png

$(SAMPLE)/dataset.yml: $(VENV)/installed
	@$(BIN)/beam-ingest sample "$(SAMPLE)" --overwrite

$(SAMPLE)/volumes.yml: $(VENV)/installed
	@$(BIN)/beam-ingest sample "$(SAMPLE)" --volumes --overwrite

test: lint types tests ## Check everything: style, types and the whole test suite

lint: install ## Check style
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "run: $(BIN)/ruff format ."; exit 1; }

types: install ## Check types
	@$(BIN)/mypy --no-error-summary

tests: install prism flink ## Run the test suite [MARKERS="not slow and ..."]
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal $(if $(MARKERS),-m "$(MARKERS)")

test-fast: lint types ## Check style, types and what is tested without whole builds: enough while you work
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal -m "not slow and not emulator and not external" $(FAST)

test-slow: install prism flink ## Run the tests that take minutes, and random ones with many more examples
	@PATH="$(abspath $(BIN)):$$PATH" HYPOTHESIS_PROFILE=nightly $(BIN)/pytest --numprocesses $(WORKERS) \
		--dist worksteal -m "slow or hypothesis"

prism: install ## Build the tools in Go that tests run: Apache Beam's Prism runner, and actionlint
	@command -v go >/dev/null || echo "no Go: tests that need it will be skipped; install it from your package manager"
	@$(call go_tool,prism,github.com/apache/beam/sdks/v2/go/cmd/prism@v$(BEAM_VERSION),about 120 MB)
	@$(call go_tool,actionlint,github.com/rhysd/actionlint/cmd/actionlint@v1.7.7,about 5 MB)

settings: install ## Read what Terraform made
	@mkdir -p $(dir $(SETTINGS))
	@if [ -n "$$DATAFLOW_SETTINGS" ]; then printf '%s' "$$DATAFLOW_SETTINGS" > $(SETTINGS).part; \
		else terraform -chdir=terraform output -json > $(SETTINGS).part; fi && \
		$(BIN)/python -c 'import json, sys; json.load(open(sys.argv[1]))["project"]["value"]' $(SETTINGS).part \
			2>/dev/null && mv $(SETTINGS).part $(SETTINGS) || { rm -f $(SETTINGS).part; \
		echo "$(SETTINGS) is left as it was: expected the outputs of terraform apply, found none" >&2; exit 1; }

image: settings ## Build the image of launcher and workers in Cloud Build; BUILDER=docker builds it here
ifeq ($(BUILDER),docker)
	@if docker manifest inspect $(IMAGE) >/dev/null 2>&1; then echo "$(IMAGE) is there already"; else \
		docker build --platform=linux/amd64 --file=templates/Dockerfile --build-arg=PYTHON_VERSION=$(PYTHON_VERSION) \
		--build-arg=BEAM_VERSION=$(BEAM_VERSION) --build-arg=IMAGE=$(IMAGE) --tag=$(IMAGE) . && docker push $(IMAGE); fi
else
	@if gcloud artifacts docker images describe $(IMAGE) --project=$(call setting,project) >/dev/null 2>&1; \
		then echo "$(IMAGE) is there already"; else gcloud builds submit --config=templates/cloudbuild.yaml --project=$(call setting,project) \
		--region=$(call setting,build_region) --suppress-logs --gcs-source-staging-dir=$(call setting,staging_location)/source \
		--substitutions=_IMAGE=$(IMAGE),_PYTHON_VERSION=$(PYTHON_VERSION),_BEAM_VERSION=$(BEAM_VERSION),_BUILDER=$(call setting,launcher_service_account) .; fi
endif

constraints: install ## Write down the versions that the tests ran with, for the image
	@$(BIN)/python templates/constraints.py > $(VENV)/constraints.txt && mv $(VENV)/constraints.txt templates/constraints.txt

template: image ## Build the flex template of that image
	@$(BIN)/python -m beam_ingest.cli.template > $(METADATA)
	@gcloud dataflow flex-template build $(TEMPLATE_OF_TAG) --image=$(IMAGE) \
		--sdk-language=PYTHON --metadata-file=$(METADATA) --project=$(call setting,project)
	@gcloud storage cp $(TEMPLATE_OF_TAG) $(TEMPLATE) --project=$(call setting,project)

rollback: settings ## Launch jobs with the template of an earlier TAG=... again
	@gcloud storage cp $(TEMPLATE_OF_TAG) $(TEMPLATE) --project=$(call setting,project)

# Looked at before Terraform is asked for anything; a name that begins with - would be taken as an option.
.PHONY: named named-graph
named named-graph:
	@for name in "$$GRAPH_ID" $(if $(filter named,$@),"$$DATASET"); do case "$$name" in ""|-*) \
		echo "usage: make $(firstword $(MAKECMDGOALS)) DATASET=file.yml GRAPH_ID=name [ARGS=...]" >&2; exit 2;; esac; done

run-dataflow: named settings ## Run a stage on Dataflow: DATASET=... GRAPH_ID=... [STAGE=graph] [TEST=1] [RAW=1] [RESUME=1] [WAIT=1] [ARGS=...]
	@$(BIN)/beam-ingest launch "$$GRAPH_ID" "$$DATASET" $(LAUNCH_OPTIONS)

status: named settings ## Show job and progress of a graph on Dataflow: DATASET=... GRAPH_ID=... [ARGS=--watch]
	@$(BIN)/beam-ingest status "$$GRAPH_ID" "$$DATASET" --settings=$(SETTINGS) $(ARGS)

cancel: named-graph settings ## Stop the Dataflow job of a graph: DATASET=... GRAPH_ID=...
	@$(BIN)/beam-ingest cancel "$$GRAPH_ID" $${DATASET:+"$$DATASET"} --settings=$(SETTINGS)

flink: install ## Get Apache Flink with Beam's job server, which some tests run on (needs Java and Maven)
	@if test $(FLINK) -nt tests/runners/flink/pom.xml; then :; \
	elif test -e $(FLINK) && ! ls $(FLINK)/beam-runners-flink-*.jar >/dev/null 2>&1; then \
		echo "$(FLINK) is left as it is: make flink did not make it"; exit 1; \
	elif command -v java >/dev/null && command -v mvn >/dev/null; then \
		echo "getting Apache Flink: downloads about 150 MB from Maven Central ..."; \
		rm -rf $(FLINK) $(FLINK).part && \
		mvn --batch-mode --quiet -Dstyle.color=never --file tests/runners/flink/pom.xml dependency:copy-dependencies \
			-DoutputDirectory=$(FLINK).part && touch $(FLINK).part && mv $(FLINK).part $(FLINK); \
	else echo "no Java or no Maven: the tests on Flink will be skipped; install Java 17 and Maven from your package manager"; fi

bench: install prism ## Measure whole builds beside the least they could cost (docs/performance.md)
	@$(BIN)/python -W ignore -m benchmarks --chunks $(BENCH_CHUNKS) --runs $(BENCH_RUNS) --only $(BENCH_ONLY)

bench-sink: install ## Measure what a row costs on its way into Bigtable, beside other ways
	@$(BIN)/python -W ignore -m benchmarks.sink

PAGES = README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md docs/*.md docs/*.png terraform/README.md datasets/*.yml
docs: $(VENV)/docs-installed ## Build these pages as a site, in build/site
	@rm -rf build/pages && mkdir -p build/pages && tar -cf - $(PAGES) | tar -xf - -C build/pages
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build

$(VENV)/docs-installed: $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean: ## Remove what was made here
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@if test -e "$(SAMPLE)/.beam-ingest-sample"; then \
		cd "$(SAMPLE)" && rm -rf agg components edges ws volumes prepared .scratch dataset.yml volumes.yml report.html \
			graph.sqlite graph.sqlite-* graph.sqlite.prepared graph.sqlite.prepared-* \
			graph.sqlite.mesh graph.sqlite.mesh-* graph.sqlite.prepared.mesh graph.sqlite.prepared.mesh-* \
			sample_l2cache.sqlite sample_l2cache.sqlite-* && \
		rm .beam-ingest-sample && cd - >/dev/null && { rmdir "$(SAMPLE)" 2>/dev/null || \
		echo "kept in $(SAMPLE), as beam-ingest sample did not write it: $$(ls -A "$(SAMPLE)")"; }; \
	elif test -e "$(SAMPLE)"; then echo "$(SAMPLE) is left as it is: beam-ingest sample did not make it"; fi

# Everything works on a machine with Python 3.11 or newer, make and git; `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; done; echo python3)

.PHONY: help setup demo test test-clients test-recorded check docs release-schemas lock audit bench bench-quick bench-families bench-growth bench-dlq bench-wrap bench-sdk bench-cli profile storm clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target what; do \
		printf '  make %-16s %s\n' "$$target" "$$what"; done

setup: .setup-stamp ## Install everything into .venv from requirements.lock (once)

# uv installs: a tenth of pip's time, and nothing to read. pip only fetches uv itself, by its hash.
.setup-stamp: requirements.lock requirements-uv.lock pyproject.toml sdk/pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
		echo "Python is missing. Siltstone needs Python 3.11 or newer: on Debian and Ubuntu"; \
		echo "  sudo apt-get install python3 python3-venv"; \
		echo "elsewhere https://www.python.org/downloads/, or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; \
		exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$("$(PYTHON)" -V 2>&1); Siltstone needs Python 3.11 or newer: install it (on Debian and Ubuntu"; \
		echo "sudo apt-get install python3.11 python3.11-venv), then: make PYTHON=python3.11 $(MAKECMDGOALS)"; \
		exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$$("$(PYTHON)" -V 2>&1) is there, but its module venv is not: on Debian and Ubuntu"; \
		echo "  sudo apt-get install $$("$(PYTHON)" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; \
		exit 1; }
# In place, never --clear: a local stack that is up runs programs that lie in .venv.
	@if [ -e .venv ] && ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo ".venv is there, but its Python does not run or is older than 3.11; stop what uses it, then: make clean"; \
		exit 1; fi
	@echo "setting up .venv with $$("$(PYTHON)" -V); the first time some 150 MB are fetched"
	@[ -x $(BIN)/pip ] || "$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock \
		|| { $(NOT_INSTALLED); }
	@$(UV) sync -q --compile-bytecode --require-hashes requirements.lock || { $(NOT_INSTALLED); }
	@$(UV) install -q --no-deps --no-build-isolation -e . -e sdk || { $(NOT_INSTALLED); }
	@touch $@
	@echo "set up: $$($(UV) freeze | wc -l) packages"

# uv reads no pip.conf: where pip asks another index than PyPI, uv asks it too.
INDEX = $(BIN)/pip config list | sed -n "s/^.*\.index-url='\(.*\)'$$/\1/p" | tail -n 1
UV = index="$${UV_DEFAULT_INDEX:-$$($(INDEX))}"; [ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index"; \
	UV_PYTHON=$(BIN)/python $(BIN)/uv pip
NOT_INSTALLED = echo "a package could not be installed (see above); when the network is the reason, run make again"; exit 1

demo: .setup-stamp ## Show everything on a local Kafka and Postgres, explained as it runs
	@$(BIN)/siltstone demo

test: .setup-stamp ## Run the checks, then every test, on a real Kafka and Postgres
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n 3 --no-loadscope-reorder

test-clients: .setup-stamp ## Run docs/publishing.md's Java, Go and TypeScript too: fetches and builds what they need, in minutes
	SILTSTONE_TEST_CLIENTS=1 $(BIN)/python -m pytest tests/pipeline/test_publishing.py

test-recorded: .setup-stamp ## Run the tests of importing and replaying on recorded runs of your own too (RUNS=folder)
	@[ -d "$(RUNS)" ] || { echo "name the folder of SWE-agent's .traj files: make test-recorded RUNS=/path/to/them"; exit 1; }
	SILTSTONE_RECORDED_RUNS="$(abspath $(RUNS))" $(BIN)/python -m pytest tests/unit/test_swe_agent_recordings.py \
		tests/unit/test_wrap_recordings.py tests/pipeline/test_import.py

check: .setup-stamp ## Lint, formatting, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .setup-stamp ## Write the generated pages of docs/ and the schemas of schemas/ anew from the code
	$(BIN)/python -m docs.generate

release-schemas: .setup-stamp ## Keep the event types of this version as published: later ones are compared with them
	$(BIN)/python -m docs.released

LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate
lock: .setup-stamp ## Write the lock files anew from pyproject.toml: for people, for the image, for building it, for uv
	$(LOCK) pyproject.toml --all-extras -o requirements.lock
	$(LOCK) pyproject.toml -c requirements.lock -o requirements-runtime.lock
	$(LOCK) pyproject.toml --extra producers -c requirements.lock -o requirements-producers.lock
	printf 'hatchling>=1.27,<2\n' | $(LOCK) - -c requirements.lock -o requirements-build.lock
	printf 'uv\n' | $(LOCK) - -c requirements.lock -o requirements-uv.lock

# --strict: a package that the service does not know ends it at once; else it would count as free of faults.
audit: .setup-stamp ## Ask PyPI for known vulnerabilities of what requirements.lock names (AUDIT=osv asks OSV)
	@found=$$(mktemp); trap 'rm -f "$$found"' EXIT; \
	$(BIN)/pip-audit -r requirements.lock --require-hashes --disable-pip --strict --progress-spinner off \
		-s $(or $(AUDIT),pypi) -o "$$found" && exit; \
	if [ -s "$$found" ]; then cat "$$found"; \
		echo "requirements.lock has packages with known vulnerabilities: raise them in pyproject.toml, then: make lock"; \
	else echo "nothing was audited: the service above does not answer for every package. A mirror of PyPI does not know"; \
		echo "vulnerabilities: run make audit where pypi.org is reached, or make audit AUDIT=osv where api.osv.dev is"; fi; \
	exit 1

bench: .setup-stamp ## Measure Siltstone, its peers and the limit of this machine in one run, in a quarter of an hour
	$(BIN)/python -m bench.run

bench-quick: .setup-stamp ## Measure a worker against the limit of this machine, in a few minutes
	$(BIN)/python -m bench.quick

bench-growth: .setup-stamp ## Measure how a row's cost grows with rows, tenants, partitions and workers (ONLY="rows memory")
	$(BIN)/python -m bench.growth $(if $(ONLY),--only $(ONLY))

bench-families: .setup-stamp ## Measure each family's events, by size, against the limit, in some forty minutes (ONLY="mix")
	$(BIN)/python -m bench.by_family $(if $(ONLY),--only $(ONLY))

profile: .setup-stamp ## Say where the time of a drain goes, in the worker and in Postgres (FAMILY=mix)
	$(BIN)/python -m bench.profile $(if $(FAMILY),--family $(FAMILY))

bench-dlq: .setup-stamp ## Measure the dead-letter commands on 100,000 letters, in a minute
	$(BIN)/python -m bench.dlq

bench-wrap: .setup-stamp ## Measure what wrap costs a program that prints 100 MB, in a minute
	$(BIN)/python -m bench.wrap

bench-sdk: .setup-stamp ## Measure what a call of the SDK costs its caller, beside a bare produce
	$(BIN)/python -m bench.sdk

bench-cli: .setup-stamp ## Measure how long commands take to start, beside an interpreter with typer and rich
	$(BIN)/python -m bench.cli

storm: .setup-stamp ## Strike with 200 faults while a million events flow, then check every row (SEED=1 repeats one)
	$(BIN)/python -m tests.storm $(if $(SEED),--seed $(SEED)) $(if $(REPORT),--report $(REPORT))

clean: ## Stop the local stack, remove .venv and every cache; the stack's data stays
	@[ ! -x $(BIN)/siltstone ] || $(BIN)/siltstone stack down
	rm -rf .venv .bench .setup-stamp .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

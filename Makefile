# Everything a contributor runs, and exactly what CI runs. `make` alone prints the list.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
# A uv on the path is used; otherwise one is fetched into .tools/, which git ignores.
UV := $(or $(shell command -v uv 2>/dev/null),.tools/uv/bin/uv)
BIN := .venv/bin
PROJECTS := pyproject.toml uv.lock $(wildcard packages/*/pyproject.toml)
SYNC := sync --frozen --quiet --all-packages

# An activated environment of another project must not receive our packages.
unexport VIRTUAL_ENV
unexport PYTHONPATH

.PHONY: help install format lint typecheck test conformance fault check demo demo-insights demo-bank demo-messaging demo-projections bench docs build clean

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

install: .venv/.ready ## Fetch uv if it is missing and create the environment in .venv
	@echo "Ready: .venv holds the five packages, their extras and the tools."

format: .venv/.ready ## Sort imports and format all code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lint: .venv/.ready ## Check style, formatting, who imports whom, and that uv.lock is current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(UV) lock --check --quiet

typecheck: .venv/.ready ## Run mypy --strict over all code, and pyright over each public interface
	$(BIN)/python -m tools.typecheck

test: .venv/.ready ## Run all tests, except the slow and fault ones (ARGS="-k name" narrows)
	@echo "Running the tests. Servers are started when a test asks for one and stopped at the end."
	$(BIN)/python -m pytest -m "not slow and not fault" $(ARGS)

conformance: .venv/.ready ## Run every adapter through the suite of its port
	$(BIN)/python -m pytest $(wildcard packages/*/tests/conformance) $(ARGS)

fault: .venv/.ready ## Run the slow tests: killed processes, cut connections, soaks
	$(BIN)/python -m pytest -m "slow or fault" --timeout=1800 $(ARGS)

check: lint typecheck test docs ## Run everything a pull request has to pass

demo: .venv/.demo-ready ## Run the record store example on a real purchase log (DEMO_ARGS="--help" for options)
	@echo "Processing the purchase log. Running it again changes nothing."
	@PYTHONPATH=docs/examples $(BIN)/python -m record_store $(DEMO_ARGS)

demo-insights: .venv/.demo-ready ## Show customers, sales and cohorts of what `make demo` took in (DEMO_ARGS="--help" for options)
	@PYTHONPATH=docs/examples $(BIN)/python -m record_store.insights $(DEMO_ARGS)

demo-bank: .venv/.demo-ready ## Run the bank example: event sourcing as a story (DEMO_ARGS="--help" for options)
	@PYTHONPATH=docs/examples $(BIN)/python -m bank $(DEMO_ARGS)

demo-messaging: .venv/.ready ## Run two services and a broker through kills and cuts (DEMO_ARGS="--help" for options)
	@echo "Taking in the purchase log, publishing it, and counting points in another service."
	@PYTHONPATH=docs/examples $(BIN)/python -m tools.messaging_demo $(DEMO_ARGS)

demo-projections: .venv/.ready ## Rebuild read models of 1,000,000 events through kills (DEMO_ARGS="--help" for options)
	@echo "Making a long past of the purchase log, and rebuilding its read models beside those that serve."
	@PYTHONPATH=docs/examples $(BIN)/python -m tools.projections_demo $(DEMO_ARGS)

bench: .venv/.ready ## Compare with the raw driver, interleaved, as ratios (BENCH_ARGS="--help")
	$(BIN)/python -m tools.bench $(BENCH_ARGS)

docs: .venv/.ready ## Check the pages' code and links, and build the site into site/
	$(BIN)/python -m pytest -q tests/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Built: site/index.html"

build: .venv/.ready ## Build the five wheels into dist/ and import each alone in an empty environment
	@rm -rf dist
	$(UV) build --quiet --all-packages --out-dir dist
	$(BIN)/python -m tools.check_wheels dist

clean: ## Remove the environment, the fetched uv and everything built
	rm -rf .venv .tools dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.tools/uv/bin/uv:
	@$(PYTHON) tools/get_uv.py .tools/uv

.venv/.ready: $(PROJECTS) | $(UV)
	@echo "Creating the environment in .venv (a few hundred megabytes the first time) ..."
	@$(UV) $(SYNC) --all-extras --all-groups
	@touch $@ .venv/.demo-ready

# The demo needs a small part of the environment; do not make a newcomer wait for the rest.
.venv/.demo-ready: $(PROJECTS) | $(UV)
	@echo "Creating the environment in .venv ..."
	@$(UV) $(SYNC) --inexact --no-default-groups --group demo --extra sqlite --extra postgres
	@touch $@

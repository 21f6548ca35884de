# `make` alone lists the targets. Nothing but python3 with venv is needed.

PYTHON ?= python3
# More for pytest, for example: make test ARGS="-k lease"
ARGS ?=
# Tests of one module stay together: they share servers, and a run of the contract suite is one class.
SIDE_BY_SIDE := -n 2 --dist loadscope
# Every folder whose package is installed in place; a new adapter joins by existing.
PACKAGES := . $(patsubst %/pyproject.toml,%,$(wildcard adapters/*/pyproject.toml)) contract_tests

BIN := .venv/bin
STAMP := .venv/.installed
LOCKED := requirements/dev.txt
PROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))
# What mypy looks at in one go, and the tests that need a go of their own.
TYPED := $(wildcard jobkit adapters/*/jobkit_* contract_tests/jobkit_contract tests examples benchmarks scripts conftest.py)
TYPED_APART := $(wildcard adapters/*/tests contract_tests/tests)

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint types bench services wheels wheel-test format lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' Makefile

install: $(STAMP)  ## build .venv: the locked dependencies and the workspace's packages in place

$(STAMP): $(LOCKED) $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCKED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		$(addprefix -e ./,$(PACKAGES))
	touch $@

demo: install  ## run the example shop from end to end (JOBKIT_URL picks the backend)
	$(BIN)/python -m examples.orders

test: install  ## run all tests; finds, starts or installs the services that they need
	$(BIN)/python -m scripts.services run -- $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

check: lint types test  ## what CI runs: lint, types, tests

lint: install  ## style and common mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## mypy --strict over everything
	$(BIN)/mypy $(TYPED)
	@set -e; for folder in $(TYPED_APART); do echo "mypy $$folder"; $(BIN)/mypy $$folder; done

bench: install  ## throughput and latency, beside the raw drivers
	$(BIN)/python -m benchmarks

services: install  ## say which services the tests would use, and where
	$(BIN)/python -m scripts.services status

wheels: install  ## build the wheels of all distributions into dist/
	rm -rf dist
	@set -e; for package in $(PACKAGES); do \
		$(BIN)/python -m build --wheel --no-isolation --outdir dist $$package; done

wheel-test: wheels  ## run the tests on the built wheels, where the source can't be imported
	$(BIN)/python -m scripts.wheel_test $(SIDE_BY_SIDE) $(ARGS)

format: install  ## lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## choose versions and hashes anew (UPGRADE=--upgrade takes the newest)
	test -x build/lock/bin/uv || { $(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet uv; }
	build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header $(UPGRADE) requirements/dev.in --output-file $(LOCKED)

clean:  ## remove whatever make has built
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything that people and CI do with this repository. `make` alone prints this list.
.DEFAULT_GOAL := help
.PHONY: help up setup test coverage check format web docs load load-ui load-limit bench bench-read faults broken-builds neighbours image lock try-locks test-lowest canary nightly swagger-ui deploy-check image-test release-check clean
SHELL := /bin/bash

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := sh requirements/install.sh $(BIN)/python
INSTALL_DEPLOY := sh requirements/install.sh .venv-deploy/bin/python
IN_PROCESSES = --numprocesses=$(or $(PROCESSES),2) --dist=loadscope --no-loadscope-reorder
WHOLE = $(IN_PROCESSES) --ignore=tests/loadtests/test_benchmark.py --ignore=tests/loadtests/test_benchmark_read.py $(addprefix --ignore=,$(DEPLOY_TESTS)) --durations=40
VERSION_OF_TREE := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
DEPLOY := .venv-deploy
# They need tools that `make deploy-check` installs, or start what `make test` starts anyway.
DEPLOY_TESTS := $(patsubst %,tests/deploy/test_%.py,compose helm image proxies systemd workflows)
CLIENTS := tests/clients/node_modules/.package-lock.json
WEB := web/node_modules/.package-lock.json

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

up: setup ## run everything on one port, with embedded Valkey and Postgres (PORT=8080 DATA_DIR=.headrace)
	@$(BIN)/headrace up $(if $(PORT),--port '$(PORT)') $(if $(DATA_DIR),--data-dir '$(DATA_DIR)')

setup: $(VENV)/.up ## only set up what `make up` needs, in .venv

test: $(VENV)/.dev $(CLIENTS) $(WEB) ## set up and run all tests but those of the benchmarks (PROCESSES=2; or some: ARGS=tests/domain)
	@$(BIN)/python -m pytest $(or $(ARGS),$(WHOLE))

# Tracing makes a run half as long again.
coverage: $(VENV)/.dev $(CLIENTS) $(WEB) ## run the same tests and measure their coverage, which has a lower limit
	@$(BIN)/python -m pytest $(WHOLE) --cov --cov-report=term --cov-fail-under=95

check: $(VENV)/.dev ## lint, format, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

web: $(VENV)/.dev $(WEB) ## check and build the web app into collector/api/pages/web_app, which is committed
	@$(BIN)/python -m tests.support.web_app build

docs: $(VENV)/.dev ## generate docs/settings.md and docs/metrics.md from the code
	@$(BIN)/python -m collector.admin.settings_page > docs/settings.md
	@$(BIN)/python -m collector.admin.metrics_page > docs/metrics.md

format: $(VENV)/.dev ## format the code and fix what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

load: $(VENV)/.dev ## one minute of load on a collector started for it, or on a given one (USERS=20 SECONDS=60 ARGS=)
	@$(BIN)/python -m loadtests.run --users $(or $(USERS),20) --seconds $(or $(SECONDS),60) $(ARGS)

load-ui: $(VENV)/.dev ## the same with Locust's page, on loopback, to begin and watch runs (ARGS=)
	@$(BIN)/python -m loadtests.run --ui --users $(or $(USERS),20) $(ARGS)

load-limit: $(VENV)/.dev ## more senders with every step, until the p99 or a refusal says stop (ARGS=)
	@$(BIN)/python -m loadtests.limit $(ARGS)

bench: $(VENV)/.dev ## compare ingest, the drain and the queue with their limits, in some 6 minutes (SECONDS=345 ARGS=)
	@$(BIN)/python -m loadtests.benchmark --seconds $(or $(SECONDS),345) $(ARGS)

bench-read: $(VENV)/.dev ## reading a million events: lists, look-ups, counts, and the plans of slow ones (ARGS=)
	@$(BIN)/python -m loadtests.benchmark_read $(ARGS)

.PHONY: bench-pages
bench-pages: $(VENV)/.dev ## the web app in Chromium beside a running `make up` (ARGS="lists|stream|drain")
	@$(BIN)/python -m loadtests.pages $(ARGS)

faults: $(VENV)/.dev ## crash tests under posts, then an audit; and how fast a revocation is (SECONDS=600 ARGS=)
	@$(BIN)/python -m loadtests.faults --seconds $(or $(SECONDS),600) $(ARGS)
	@$(BIN)/python -m loadtests.revocation

broken-builds: $(VENV)/.dev ## show that the crash tests find builds that are broken on purpose (ARGS="--only no-fsync")
	@$(BIN)/python -m loadtests.broken $(ARGS)

neighbours: $(VENV)/.dev ## what one bad client costs others: a victim beside one attacker at a time (SECONDS=30 ARGS=)
	@$(BIN)/python -m loadtests.neighbours --seconds $(or $(SECONDS),30) $(ARGS)

nightly: $(VENV)/.dev $(CLIENTS) $(WEB) ## the long counts that CI runs a tenth of, the locks with old pips, and the crash tests
	@HEADRACE_TEST_SCALE=10 $(BIN)/python -m pytest -o faulthandler_timeout=3600 $(IN_PROCESSES) $(ARGS)
	@$(MAKE) --no-print-directory try-locks ARGS=
	@$(MAKE) --no-print-directory faults ARGS=

deploy-check: $(VENV)/.dev $(DEPLOY)/.tools ## check compose.yaml, the chart, the units and the proxies in deploy/, with tools of their own
	@PATH="$(CURDIR)/$(DEPLOY)/bin:$$PATH" $(BIN)/python -m pytest $(or $(ARGS),tests/deploy)

image: ## build the container image (ENGINE=docker PYTHON_IMAGE=python:3.13-slim)
	@$(or $(ENGINE),docker) build --tag headrace --build-arg VERSION=$(VERSION_OF_TREE) \
		--build-arg REVISION=$(or $(shell git rev-parse HEAD 2>/dev/null),unknown) --build-arg PYTHON_IMAGE=$(or $(PYTHON_IMAGE),python:3.13-slim) .

image-test: $(VENV)/.dev ## build the image, run every process from it, post, read back, stop (BUILDER=a program, else docker or podman)
	@HEADRACE_TEST_IMAGE=1 HEADRACE_TEST_IMAGE_BUILDER="$(BUILDER)" $(BIN)/python -m pytest tests/deploy/test_image.py $(ARGS)

release-check: $(VENV)/.dev $(DEPLOY)/.tools ## build the release into dist/, check it, install it in a clean environment
	@$(BIN)/python -m tests.deploy.release

lock: $(VENV)/.dev ## renew the lock files from pyproject.toml (UPGRADE=--upgrade for newer versions)
	@cd requirements && compile() { \
		../$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
			--no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$$@"; } && \
	of_ours() { compile --build-deps-for wheel "$$@" ../pyproject.toml; } && \
	of_ours --extra embedded --extra dev --output-file dev.txt $(UPGRADE) && \
	of_ours --extra embedded --constraint dev.txt --output-file up.txt && \
	of_ours --constraint dev.txt --output-file service.txt && \
	compile --output-file deploy.txt $(UPGRADE) deploy.in && \
	compile --output-file node.txt $(UPGRADE) node.in

try-locks: $(VENV)/.dev ## install every lock with old pips, beside made-up newer releases of everything (ARGS="--pip 22.3")
	@$(BIN)/python -m tests.installing.trial locks $(ARGS)

test-lowest: $(VENV)/.dev ## run tests with the lowest versions that pyproject.toml allows, set up apart (ARGS=tests/domain)
	@$(BIN)/python -m tests.installing.trial lowest $(ARGS)

canary: $(VENV)/.dev ## run tests with the newest versions that it allows, and list what is newer than locked (ARGS=tests/domain)
	@$(BIN)/python -m tests.installing.trial newest $(ARGS)

swagger-ui: ## renew the files of the API page from npm (VERSION=5.35.0)
	@test -n "$(VERSION)" || { echo "Which one? VERSION=5.35.0" >&2; exit 2; }
	@cd $$(mktemp -d) && npm pack --silent swagger-ui-dist@$(VERSION) && tar -xzf swagger-ui-dist-$(VERSION).tgz && cd package && \
		cp swagger-ui-bundle.js swagger-ui.css swagger-ui-bundle.js.LICENSE.txt LICENSE NOTICE $(CURDIR)/collector/api/pages/swagger_ui/
	@cd collector/api/pages/swagger_ui && sha256sum swagger-ui-bundle.js swagger-ui.css > SHA256SUMS

clean: ## remove what the tools made (not the data of `make up`)
	@rm -rf $(VENV) $(DEPLOY) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage* *.egg-info tests/clients/node_modules web/node_modules

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "headrace needs Python 3.11 or newer; none was found (set PYTHON=/path/to/python)." >&2; exit 2; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)
	@rm -f $(CLIENTS) $(WEB)  # Node may have been in the former one

$(VENV)/.up: requirements/up.txt requirements/install.sh pyproject.toml | $(BIN)/python
	@echo "Installing the locked dependencies ..."
	@$(INSTALL) requirements/up.txt --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.up | $(BIN)/python
	@echo "Installing the locked development tools ..."
	@$(INSTALL) requirements/dev.txt
	@touch $@

$(DEPLOY)/.tools: requirements/deploy.txt requirements/install.sh
	@echo "Installing the tools that check deployments in $(DEPLOY) ..."
	@$(PYTHON) -m venv --clear $(DEPLOY)
	@$(INSTALL_DEPLOY) requirements/deploy.txt
	@touch $@

# Without PyPI or npm the tests of the official clients and of the web app say so and are skipped; in CI they fail.
$(CLIENTS): tests/clients/package-lock.json requirements/node.txt | $(VENV)/.dev
	@echo "Installing the official clients that the tests run ..."
	@$(BIN)/python -m tests.clients.installation || echo "They could not be installed." >&2

$(WEB): web/package-lock.json requirements/node.txt | $(VENV)/.dev
	@echo "Installing the tools that build the web app ..."
	@$(BIN)/python -m tests.clients.installation web || echo "They could not be installed." >&2

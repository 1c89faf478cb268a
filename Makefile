# `make` alone lists the targets. Written for GNU make 3.81 and later, the one macOS still has.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed
SHELL_SCRIPTS = .ci/run $(sort $(shell find . -name '*.sh' -type f -not -path './.*'))
VERSION = $(shell sed -nE 's/^__version__ = "(.*)"/\1/p' exporter/celeriac/__init__.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)

# What a caller may set: make demo DEMO_ARGS='--help'
BENCH_ARGS ?=
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Test files that run at a time: most of their time they wait for real parts.
JOBS ?= 2
# A wait for a real part that was in vain is tried once more, and told; a wrong number never is.
PATIENTLY = --reruns 1 --only-rerun PartFailedError --only-rerun TimeoutError
# What asks Prometheus, VictoriaMetrics or Alertmanager, or is read by them.
NEWEST_TESTS = tests/bundle tests/dashboards tests/faults/drills tests/faults/test_prometheus_faults.py \
	tests/faults/test_report_faults.py tests/faults/test_alertmanager_faults.py tests/faults/test_silence.py \
	$(addprefix tests/integration/,test_prometheus.py test_reports.py test_report_of_a_cluster.py \
	test_sidecar_alerts.py test_sidecar_contract.py test_doctor_web.py test_compat.py)
IMAGE ?= celeriac:$(VERSION)

.PHONY: help install setup check test unit lowest drills newest bench bench-full demo format docs dashboards pictures lock image clean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1:\2/p' Makefile | \
	while IFS=: read -r target text; do printf '  %-10s %s\n' "$$target" "$$text"; done

install: $(INSTALLED) ## Make .venv and install Celeriac in it, editable, with the locked versions

# A Python counts when it really runs: version managers leave shims on PATH that do not.
$(BIN)/pip:
	@make_venv() { \
		for python in python3 python3.13 python3.12 python3.11; do \
			"$$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
			echo "install: making $(VENV) with $$("$$python" --version) ($$python)"; \
			"$$python" -m venv --clear $(VENV); return; \
		done; return 1; \
	}; \
	make_venv || { scripts/setup.sh --for python && make_venv; } || \
	{ echo 'install: no Python 3.11 or later with venv here (on Debian: apt-get install python3-venv)' >&2; exit 1; }

$(INSTALLED): pyproject.toml requirements.lock | $(BIN)/pip
	@echo 'install: installing Celeriac and its development tools in $(VENV)'
	@$(PIP) install --quiet -c requirements.lock -e '.[dev]'
	@touch $@

setup: install ## Install, then add the real parts that the tests run: brokers, Prometheus, Alertmanager
	@scripts/setup.sh --for test

check: install ## Check format, lint, types, layers, shell scripts and what is generated
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@command -v shellcheck >/dev/null || [ "$$CI" = true ] || { echo 'shellcheck: not here, skipped'; exit 0; }; \
	echo shellcheck $(SHELL_SCRIPTS); shellcheck $(SHELL_SCRIPTS)
	$(BIN)/celeriac metrics --check docs/metrics.md
	$(BIN)/python alerting/thresholds.py --check

test: setup ## Run every check and every test; what continuous integration runs
	@$(MAKE) check
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(PATIENTLY) $(PYTEST_ARGS)

unit: install ## Run the fast tests only: no network, no other process
	$(BIN)/pytest tests/unit $(PYTEST_ARGS)

lowest: $(BIN)/pip ## Run the fast tests with the oldest versions that pyproject.toml allows
	@$(PIP) install --quiet uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .lowest
	$(BIN)/uv pip install --quiet --python .lowest/bin/python --resolution lowest-direct -e '.[dev]'
	.lowest/bin/python -m pytest tests/unit $(PYTEST_ARGS)

drills: setup ## Run the fault tests in their long form (hours)
	CELERIAC_FULL=1 $(BIN)/pytest tests/faults $(PYTEST_ARGS)

newest: setup ## Run what rests on Prometheus and Alertmanager with the newest that Debian has
	scripts/newest.sh .newest
	PATH="$(CURDIR)/.newest/usr/bin:$$PATH" $(BIN)/pytest $(NEWEST_TESTS) $(PYTEST_ARGS)

bench: setup ## Measure Celeriac beside the other exporters, short form (minutes); options in BENCH_ARGS
	PYTHONPATH=tests $(BIN)/python -m bench $(BENCH_ARGS)

bench-full: setup ## The same with the loads of the documented figures, five rounds (an hour)
	PYTHONPATH=tests $(BIN)/python -m bench --full --rounds 5 $(BENCH_ARGS)

demo: install ## Start a small Celery cluster and watch it; options in DEMO_ARGS
	@scripts/setup.sh --for demo
	$(BIN)/celeriac demo $(DEMO_ARGS)

format: install ## Format the code and apply the fixes that are safe
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: install ## Write docs/metrics.md, the metric reference
	@mkdir -p docs
	$(BIN)/celeriac metrics > $(VENV)/metrics.md
	@mv $(VENV)/metrics.md docs/metrics.md

dashboards: install ## Write grafana/dashboards and alerting/rules/thresholds.yml from what they are made of
	$(BIN)/python alerting/thresholds.py
	$(BIN)/python -m grafana.generate

pictures: install ## Draw the dashboards, with Grafana's own components, into docs/pictures
	@scripts/setup.sh --for pictures
	cd grafana/preview && npm ci && npm run build
	$(BIN)/python -m grafana.tour docs/pictures

lock: $(BIN)/pip ## Make requirements.lock anew, with the latest versions that pyproject.toml allows
	@$(PIP) install --quiet uv
	@{ \
		echo "# Exact versions of every extra and of the build backend, for Python 3.11 and later; from 'make lock'."; \
		echo "# Use: pip install -c requirements.lock -e '.[dev]'"; \
		$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
			--no-header --no-annotate pyproject.toml - || exit; \
	} > $(VENV)/requirements.lock
	@mv $(VENV)/requirements.lock requirements.lock
	@echo "lock: requirements.lock holds $$(grep -c == requirements.lock) packages"

image: ## Build the container image with docker, podman or buildah; its name in IMAGE
	@for engine in docker podman buildah; do \
		"$$engine" info >/dev/null 2>&1 || continue; \
		build="build"; [ "$$engine" = docker ] || build="build --format docker"; \
		echo "image: building $(IMAGE) with $$engine"; \
		exec "$$engine" $$build -t "$(IMAGE)" --build-arg VERSION="$(VERSION)" --build-arg REVISION="$(REVISION)" .; \
	done; \
	echo 'image: no docker, podman or buildah that runs here' >&2; exit 1

clean: ## Remove what make and the tools made
	rm -rf $(VENV) .demo .bench .newest .lowest dist build grafana/preview/node_modules grafana/preview/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

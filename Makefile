# chute: everyday commands. `make help` lists them; each one makes the environment it needs and re-uses it.
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN       := $(VENV)/bin
PIP       := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALLED := $(VENV)/.installed
DEVELOP   := $(VENV)/.develop

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test soak lint format types bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ARGS="..." adds options to serve, test, soak and bench; PYTHON= and VENV= choose where they run.'

serve: $(INSTALLED) ## serve the example site
	@$(BIN)/python examples/make_downloads.py
	$(BIN)/chute serve examples/site $(ARGS)

test: $(DEVELOP) ## run every test
	$(BIN)/python -m pytest $(ARGS)

soak: $(DEVELOP) ## besiege a server for three minutes; its short form is among the tests
	$(BIN)/python tests/soak/soak.py $(ARGS)

lint: $(DEVELOP) ## check style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(DEVELOP) ## rewrite files into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEVELOP) ## check types, for Linux and for macOS
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin

bench: $(INSTALLED) ## measure chute and its peers, and print the table
	$(BIN)/python -m bench $(ARGS)

clean: ## remove everything that was built here
	rm -rf $(VENV) .bench build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf examples/site/downloads
	find src tests bench examples -type d -name __pycache__ -prune -exec rm -rf {} +

# The stamps are older than pyproject.toml exactly when the requirements may have changed.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(DEVELOP): pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[dev]'
	@touch $@ $(INSTALLED)

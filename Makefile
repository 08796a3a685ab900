# All set-up happens by itself: `make demo` and `make test` work on a machine that has Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check fix golden results bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# One file marks the environment as ready; it is made anew only when what is installed would change.
$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## train a LeNet on handwritten digits (under a minute), read a digit with it, say where to look
	@sh demo.sh $(BIN)

test: $(READY) ## the tests, side by side on two cores (about nine minutes)
	$(BIN)/python -m pytest -m 'not slow'

test-all: $(READY) ## the slow tests as well
	$(BIN)/python -m pytest

check: $(READY) ## format, lint, types, and whether what is generated is up to date
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/basedpyright
	$(BIN)/python docs/generate.py --check

fix: $(READY) ## format, mend what lint can mend, write what is generated
	$(BIN)/ruff format --quiet
	$(BIN)/ruff check --quiet --fix
	$(BIN)/python docs/generate.py

golden: $(READY) ## write the printed tables that tests compare with
	for name in lenet5 lenet5_modern; do $(BIN)/convatlas show $$name > tests/golden/show-$$name.txt; done

bench: $(READY) ## measure speed, on an idle machine
	$(BIN)/python bench/train_lenet.py

clean: ## take away the environment and caches; runs/ stays
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

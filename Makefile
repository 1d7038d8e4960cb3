# Two commands do everything, set-up included: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint all clean

demo: $(VENV)/.standard
	$(BIN)/ftc demo -o demo

# A file stays on one worker, for what its tests share; files start in the order of tests/conftest.py, the longest first.
# A worker that crashes ends the run: with --dist loadfile, pytest-xdist 3.8 may wait for ever for one that replaced it.
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

all: lint test

clean:
	rm -rf $(VENV) demo artifacts build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.standard: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing into $(VENV)"
	$(INSTALL) -e '.[standard]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing into $(VENV), tests included"
	$(INSTALL) -e '.[dev]'
	@touch $@

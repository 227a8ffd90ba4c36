# Needs Python 3.11 and make; everything else comes from pyproject.toml.
PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: install demo test lint types clean

install: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --upgrade "pip>=24" "setuptools>=77"
	$(BIN)/pip install -e ".[dev]"
	touch $@

demo: install
	$(BIN)/unseen demo

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:
	rm -rf .venv build dist *.egg-info src/*.egg-info

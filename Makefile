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

# One test per core: their tensors are small, so that a second thread would only wait.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

clean:
	rm -rf .venv build dist *.egg-info src/*.egg-info

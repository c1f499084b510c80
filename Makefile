# Everything runs in .venv, made by the first target that needs it. PYTHON: which interpreter makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test check dev bench clean
.DEFAULT_GOAL := run

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

run: $(READY)
	$(BIN)/python examples/kill_and_resume.py

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

dev: $(READY)
	cd examples/orders && ../../$(BIN)/polos dev

bench: $(READY)
	$(BIN)/python -m benchmarks run --against dbos

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

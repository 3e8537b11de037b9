# Two commands do everything on a fresh machine: `make quickstart` and `make test`.
PYTHON ?= python3
PY := .venv/bin/python
# Real pictures and weights, where the machine has them; tests that need them are skipped elsewhere.
ifneq ($(wildcard ../shared/data),)
export LINEARSR_DATA ?= $(abspath ../shared/data)
endif

.PHONY: help quickstart quickstart-esgf test test-slow lint clean
help:
	@echo "make quickstart       train and test a ×4 model from scratch on bundled photos (minutes on two CPU cores)"
	@echo "make quickstart-esgf  the same model in three stages, each from the knee of the one before"
	@echo "make test             the test suite without the slow and GPU tests; COVERAGE=1: of 90 % of the lines, which takes longer"
	@echo "make test-slow        the tests of minutes"
	@echo "make lint             ruff, mypy, import-linter"

.venv/installed: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

quickstart: .venv/installed
	$(PY) tools/train.py configs/quickstart_x4.py $(if $(wildcard work_dirs/quickstart_x4/last_checkpoint),--resume)
	$(PY) tools/test.py configs/quickstart_x4.py work_dirs/quickstart_x4

quickstart-esgf: .venv/installed
	$(PY) tools/train.py configs/quickstart_esgf_x4.py $(if $(wildcard work_dirs/quickstart_esgf_x4/pretrain),--resume)
	$(PY) tools/test.py configs/quickstart_esgf_x4.py work_dirs/quickstart_esgf_x4

test: .venv/installed
	$(PY) -m pytest -m "not slow and not gpu" -n 2 $(if $(COVERAGE),--cov --cov-report=term:skip-covered --cov-fail-under=90)

test-slow: .venv/installed
	$(PY) -m pytest -m "slow and not gpu"

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

clean:
	rm -rf work_dirs .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage*

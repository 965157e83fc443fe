# make demo    install, then train and test ResNet-20 on CIFAR-10 (about five minutes)
# make test    install, then check style, types and behaviour
# make lint    the first part of it: style and types (half a minute)
# make format  mend the style, as far as Ruff can
# make docs    the API reference, from the docstrings, into build/docs
# make clean   remove what these made, but not data/ and runs/

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint format docs clean

# Status 3 says that no source of CIFAR-10 can be reached; any other failure ends the demo.
demo: .venv/installed
	@$(BIN)/deepres data cifar10; status=$$?; \
	case $$status in \
	    0) data=data/cifar10; run=runs/demo;; \
	    3) data=sample; run=runs/demo-sample; echo "going on with the 6,000 images inside the package";; \
	    *) exit $$status;; \
	esac; \
	if [ -e $$run/recipe.json ]; then $(BIN)/deepres train --resume $$run; \
	    else $(BIN)/deepres train resnet20 --steps 1000 --data $$data --out $$run; fi && \
	$(BIN)/deepres evaluate $$run

test: lint
	$(BIN)/pytest -n 2

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/installed-docs
	$(BIN)/python tools/api_reference.py build/docs

clean:
	rm -rf build .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	    sys.exit(None if (3, 11) <= v <= (3, 13) else f"deepres needs Python 3.11 to 3.13, this is {v[0]}.{v[1]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/installed: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ .venv/installed

.venv/installed-docs: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ .venv/installed

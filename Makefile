# Everything a fresh clone needs: `make demo` and `make test` set up .venv by themselves, once.

PYTHONS ?= python3.13 python3.12 python3.11 python3
PYTEST_ARGS ?=

VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
INSTALLED := $(VENV)/installed
INSTALLED_DEV := $(VENV)/installed-dev

# Debian ships ensurepip, without which `venv` makes an environment that has no pip, as a package of its own.
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test lint crash clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## fetch a small shop, index its photos, search them, write demo/contact-sheet.html
	@$(VENV)/bin/catalens demo

# One OpenMP thread per worker: two workers with two each would fight over two cores.
test: $(INSTALLED_DEV)  ## run the whole test suite
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(INSTALLED_DEV)  ## ruff (lint and format) and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

crash: $(INSTALLED_DEV)  ## kill the indexer at 75 random moments; nothing may be lost
	@OMP_NUM_THREADS=1 CATALENS_CRASH_ROUNDS=25 $(VENV)/bin/python -m pytest tests/test_crash.py $(PYTEST_ARGS)

clean:  ## remove what make has made: .venv, caches and demo/
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is removed first and written last, so a set-up that was interrupted starts over.
# After a change of pyproject.toml the environment is kept and only what is new gets installed.
$(INSTALLED): pyproject.toml
	@if [ ! -f $@ ]; then \
	  python=; \
	  for candidate in $(PYTHONS); do \
	    if $$candidate -c '$(USABLE)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo 'Catalens needs Python 3.11 or newer with its venv module; none of these is: $(PYTHONS).' >&2; \
	    echo '  Debian, Ubuntu: sudo apt-get install python3 python3-venv' >&2; \
	    echo '  Fedora:         sudo dnf install python3' >&2; \
	    echo '  macOS:          brew install python@3.13' >&2; \
	    echo 'Another one: make PYTHONS=/path/to/python3 …' >&2; \
	    exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$($$python --version)."; \
	  $$python -m venv --clear $(VENV) || exit 1; \
	fi
	@rm -f $@ $(INSTALLED_DEV)
	@echo 'Installing Catalens and its libraries (once; up to 6 GB on Linux because PyTorch brings CUDA: some minutes) …'
	@$(PIP) --editable .
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@rm -f $@
	@echo 'Installing the test tools (once; seconds) …'
	@$(PIP) --editable '.[dev]'
	@touch $@

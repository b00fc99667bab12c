# make            what can be made
# Everything is installed into .venv, pinned by constraints.txt; a second `make install` takes no time.
# PyTorch for NVIDIA GPUs is large. Without such a GPU on Linux, this fetches the small build instead:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make install

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The newest of these that is there and new enough makes the environment; `make install PYTHON=…` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# Few threads each: libraries that all take every core at once only stand in each other's way.
THREADS ?= 2
ONE_POOL = OMP_NUM_THREADS=$(THREADS) OPENBLAS_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS) POLARS_MAX_THREADS=$(THREADS)
# Test files run side by side, with one thread each; the many processes they start read compiled modules.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
# What `make demo` starts with, for example ARGS="--port 8001".
ARGS ?=

.PHONY: help install demo test test-slow check format bench screenshots constraints clean

help:  ## Show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(VENV)/.installed-dev  ## Make .venv with the shelfwise command and everything to develop with

demo: $(VENV)/.installed  ## Learn from a real retailer's year and answer on http://127.0.0.1:8000 (SHELFWISE_PORT)
	$(BIN)/shelfwise demo $(ARGS)

test: THREADS = 1
test: check .programs  ## Check, then run every test but the slow ones
	$(ONE_POOL) PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --durations=10 -m "not slow"

test-slow: THREADS = 1
test-slow: $(VENV)/.installed-dev .programs  ## Run the tests that take long and seldom fail
	$(ONE_POOL) $(BIN)/python -m pytest -q --durations=10 -m slow

check: $(VENV)/.installed-dev  ## Lint, formatting, strict types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

format: $(VENV)/.installed-dev  ## Format and mend what can be mended without a person
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev  ## Measure speed and quality: every program of benchmarks/, one after the other
	mkdir -p bench-out
	for program in benchmarks/*.py; do echo "== $$program"; \
		$(BIN)/python "$$program" 2>&1 | tee "bench-out/$$(basename "$$program" .py).txt"; done

# The shop whose pages are pictured; without one there, Vendure's demo shop is made in it.
SHOP ?= bench-out/vendure
screenshots: $(VENV)/.installed-dev .programs  ## Picture every page, both languages, desktop and phone, in bench-out/screens
	$(ONE_POOL) $(BIN)/python tests/web/screenshots.py $(SHOP) bench-out/screens

constraints: $(VENV)/.installed-dev  ## Pin what is installed now in constraints.txt
	{ echo "# Versions that were tested together; \`make constraints\` writes this file."; \
	  $(PIP) freeze --exclude-editable | grep -vE '^(#|nvidia-|triton|pip=|setuptools=)' | sed -E 's/^(torch==[0-9.]+)\+.*/\1/'; \
	} > constraints.new && mv constraints.new constraints.txt

clean:  ## Remove what was made here, the environment too
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps lie inside the environment, so that they vanish with it.
$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Shelfwise needs Python 3.11 or newer. On Debian 12+ or Ubuntu 24.04+: sudo apt-get install python3 python3-venv" >&2; exit 1; fi
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$(PYTHON) cannot make a virtual environment here. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; fi
	[ -x $(BIN)/python ] && $(BIN)/python -m pip --version > /dev/null || $(PYTHON) -m venv --clear $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --no-compile -c constraints.txt -e .  # what is imported is compiled then, the rest never
	@$(BIN)/python -c 'import lightgbm' 2>/dev/null || { \
		echo "LightGBM needs the OpenMP library of this system. On Debian or Ubuntu: sudo apt-get install libgomp1" >&2; exit 1; }
	touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install --no-compile -c constraints.txt -e '.[dev,postgres,ray]'
	@$(BIN)/python -c 'import lightgbm' 2>/dev/null || { \
		echo "LightGBM needs the OpenMP library of this system. On Debian or Ubuntu: sudo apt-get install libgomp1" >&2; exit 1; }
	touch $@ $(VENV)/.installed

# PostgreSQL's tests start a server of their own, and those of the pages drive Debian's Chromium; without these programs
# they are skipped, saying so.
.PHONY: .programs
.programs:
	@missing=(); \
	compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || command -v initdb > /dev/null || missing+=(postgresql); \
	command -v chromium > /dev/null || missing+=(chromium fonts-noto-cjk fonts-noto-color-emoji); \
	if [ "$${#missing[@]}" -gt 0 ]; then \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null && apt-get -q update && \
			DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$${missing[@]}"; } || \
		echo "Some tests will be skipped. On Debian or Ubuntu: sudo apt-get install $${missing[*]}" >&2; fi

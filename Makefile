# Every target makes the environment when it is missing: `make demo` is all a fresh clone needs.
# PYTHON picks the interpreter that the environment is made with (3.11, 3.12 or 3.13).
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= ../shared/data/online_retail/by-day
RETAIL := $(CURDIR)/data/online_retail
SHOP := $(CURDIR)/data/live_shop
SHOP_PORT ?= 8123
DAY_SECONDS ?= 30
export DAGSTER_HOME ?= $(CURDIR)/data/dagster_home
export DAGSTER_DISABLE_TELEMETRY := yes

.PHONY: help install demo drill shop shop-dev online-retail online-retail-dev dev test lint format bench lock clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

install: $(READY)  ## the environment, from the hash-locked requirements

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 was found on PATH. Install one, or call make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/platform-assets setup
	@touch $(READY)

demo: $(READY)  ## sample data, backfill, summary: the first useful day
	$(BIN)/platform-assets demo
	$(BIN)/python -m examples.live_shop

shop: $(READY)  ## the living shop, a day every 30 s; INJECT=late,dup,drift,down,slow,garbage
	LIVE_SHOP_TOKEN="$${LIVE_SHOP_TOKEN:-demo}" $(BIN)/python -m platform_assets.demo.live \
		--folder "$(SHOP)/shop" --day-seconds $(DAY_SECONDS) --port $(SHOP_PORT) $(if $(INJECT),--inject $(INJECT))

shop-dev: $(READY)  ## that shop's data in the UI at http://localhost:3000, kept in step by sensors
	mkdir -p $(SHOP)/dagster_home
	LIVE_SHOP_FOLDER="$(SHOP)/shop" LIVE_SHOP_DATABASE="$(SHOP)/shop/shop.sqlite" \
		LIVE_SHOP_API="http://127.0.0.1:$(SHOP_PORT)" LIVE_SHOP_TOKEN="$${LIVE_SHOP_TOKEN:-demo}" \
		PLATFORM_ASSETS_DATA_DIR="$(SHOP)" DAGSTER_HOME="$(SHOP)/dagster_home" \
		$(BIN)/dagster dev -m examples.live_shop.definitions

online-retail: $(READY)  ## a real retailer's year; DATA=folder of daily files
	$(BIN)/python -m examples.online_retail --data "$(DATA)"

online-retail-dev: $(READY)  ## that year in the UI at http://localhost:3000
	mkdir -p $(RETAIL)/dagster_home
	RETAIL_DATA="$(abspath $(DATA))" PLATFORM_ASSETS_DATA_DIR="$(RETAIL)" DAGSTER_HOME="$(RETAIL)/dagster_home" \
		$(BIN)/dagster dev -m examples.online_retail.definitions

drill: $(READY)  ## known incidents, one at a time: what is noticed; SEED=7 DAYS=364 ORDERS_A_DAY=600
	$(BIN)/python -m platform_assets.drill $(if $(SEED),--seed $(SEED)) $(if $(DAYS),--days $(DAYS)) \
		$(if $(ORDERS_A_DAY),--orders-per-day $(ORDERS_A_DAY)) --out "$(or $(OUT),data/drill/drill.md)"

dev: $(READY)  ## the UI at http://localhost:3000, with the daemon
	$(BIN)/platform-assets dev

# Files of tests are kept in memory where there is room: otherwise a part of the time goes to disks.
# Modules are run as they are listed, those that take minutes first: the many quick ones fill the end.
# Four workers on two cores: some of them wait for servers, sensors and killed processes.
# Where nothing compiled may be kept, each worker and each process of a test compiles all anew.
ROOM := $(shell df --output=avail -k /dev/shm 2>/dev/null | tail -1)
IN_MEMORY := $(shell [ "$(or $(ROOM),0)" -gt 6000000 ] && echo TMPDIR=/dev/shm)

test: $(READY)  ## the whole test suite
	env -u PYTHONDONTWRITEBYTECODE $(IN_MEMORY) $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## ruff, formatting, strict types, one-way arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy platform_assets examples bench
	$(BIN)/lint-imports

format: $(READY)  ## apply formatting and the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## measure speed and memory side by side; writes bench/RESULTS.md
	$(BIN)/python -m bench

lock:  ## resolve requirements.lock anew (needs uv on PATH)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
		--no-header --extra dev --quiet pyproject.toml -o requirements.lock

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find data -mindepth 1 ! -name .gitkeep -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# On a fresh machine:   make demo   distils a data set and writes runs/demo/report.html
#                       make lab    opens JupyterLab on the tour of the panels
#                       make quick  the tests that take a minute together
#                       make test   every notebook and every test
#                       make lint   formatting, likely mistakes, types
#                       make notebooks  runs the notebooks again and keeps their outputs
#                       make docs   the documentation site, in _site/
#                       make export after an edit
# Each first makes the virtual environment .venv, once (about 6 GB; again when settings.ini changes). uv installs into it,
# many times faster than pip; where uv is missing it is put into .venv, and where that fails pip does the work.
# PYTHON= picks the interpreter, VENV= the folder.
SHELL := /bin/bash
VENV ?= .venv
OUT ?= runs/demo
BIN := $(abspath $(VENV))/bin
# Through the interpreter, because the first line of a script names the folder it was installed in, and folders get moved.
RUN = "$(BIN)/python" "$(BIN)/$(1)"
KEY := $(shell (cat settings.ini pyproject.toml setup.py; pwd) | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.set-up-$(KEY)
export PATH := $(BIN):$(PATH)
# Compiled modules are kept, whatever the shell says: importing torch and its like from source takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

# Two tests run side by side on two cores, each with one thread.
JOBS ?= 2
# One more at a time in the whole suite: some wait, for a browser, a server or a process that they started.
TESTERS ?= $(shell echo $$(($(JOBS) + 1)))
test quick notebooks: export OMP_NUM_THREADS ?= 1

.PHONY: demo test quick lint faults notebooks docs cover lab export set-up clean

demo: $(STAMP)
	$(call RUN,psr) demo --out "$(OUT)"

# Every notebook, then everything in tests/ (among it: modules in step with the notebooks, notebooks clean).
test: $(STAMP)
	$(call RUN,nbdev-test) --n-workers $(TESTERS) --do-print --timing
	$(call RUN,pytest) -n $(TESTERS) --dist loadfile --no-loadscope-reorder --durations 15

quick: $(STAMP)
	$(call RUN,pytest) -q -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow and not browser and not gpu" $(ORDER)

# Which lines the tests run. The notebooks' own tests are not counted.
cover: $(STAMP)
	$(call RUN,pytest) -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report term

# Hundreds of commands that are disturbed, thousands of damaged files, and memory, counted in FAULTS, which the page
# nbs/benchmarks/faults.ipynb shows; ROUNDS says how many commands. As root, small disks are mounted too.
ROUNDS ?= 500
FAULTS ?= $(CURDIR)/nbs/benchmarks/faults.json
faults: $(STAMP)
	PSR_FAULTS="$(FAULTS)" PSR_KILLS=$(ROUNDS) PSR_FUZZ=5000 $(call RUN,pytest) -q -s -n 0 tests/test_kills.py tests/test_faults.py tests/test_fuzz.py tests/test_memory.py

# The front end is linted where `npm ci` has been run.
lint: $(STAMP)
	"$(BIN)/ruff" check nbs tests tools
	"$(BIN)/ruff" format --check nbs tests tools
	$(call RUN,basedpyright) --level error
	@if [ -x node_modules/.bin/biome ]; then node_modules/.bin/biome check; \
	elif [ -f package.json ]; then echo "The front end was not linted: npm ci first"; [ -z "$$CI" ]; fi

# The pages whose code has changed; make notebooks NB=10_pool makes one again, NB=--all every one.
notebooks: $(STAMP)
	"$(BIN)/python" tools/notebooks.py $(NB)

docs: $(STAMP)
	"$(BIN)/python" tools/docs.py

# Threads share the memory that they free: a notebook needs up to half a gigabyte less.
lab: export MALLOC_ARENA_MAX ?= 2
lab: $(STAMP)
	$(call RUN,jupyter-lab) $(if $(filter 0,$(shell id -u)),--allow-root) $(firstword $(wildcard nbs/tour.ipynb) nbs/00_core.ipynb)

# After editing a notebook or the version in settings.ini.
export: $(STAMP)
	"$(BIN)/python" -c "from nbdev.config import set_version; set_version('psr_nb', '$(shell sed -n 's/^version *= *//p' settings.ini)')"
	$(call RUN,nbdev-export)
	$(call RUN,nbdev-clean)
	"$(BIN)/python" tools/rooms.py

set-up: $(STAMP)

$(STAMP):
	@set -e; \
	echo "Setting up $(VENV): some minutes and 6 GB the first time"; \
	if uv --version >/dev/null 2>&1; then \
	  [ -x "$(BIN)/python" ] || uv venv $(if $(PYTHON),--python "$(PYTHON)") "$(VENV)"; \
	  uv pip install --python "$(BIN)/python" -e '.[dev]'; \
	else \
	  [ -x "$(BIN)/python" ] || "$(or $(PYTHON),python3)" -m venv "$(VENV)"; \
	  "$(BIN)/python" -m pip install uv \
	  && "$(BIN)/python" -m uv pip install --python "$(BIN)/python" -e '.[dev]' \
	  || "$(BIN)/python" -m pip install -e '.[dev]'; \
	fi; \
	rm -f "$(VENV)"/.set-up-*; touch "$@"

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis .ruff_cache .coverage* _site
	find nbs psr_nb tests tools -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

# On a fresh machine:   make demo   distils a data set and writes runs/demo/report.html
#                       make test   runs the notebooks and the tests
#                       make lab    opens JupyterLab on the explorer
# Each first makes the virtual environment .venv, once (about 6 GB; again when settings.ini changes), with uv where it is
# installed and with Python's venv and pip otherwise. PYTHON= picks the interpreter, VENV= the folder.
SHELL := /bin/bash
VENV ?= .venv
OUT ?= runs/demo
BIN := $(abspath $(VENV))/bin
# Through the interpreter, because the first line of a script names the folder it was installed in, and folders get moved.
RUN = "$(BIN)/python" "$(BIN)/$(1)"
KEY := $(shell (cat settings.ini pyproject.toml setup.py; pwd) | cksum | cut -d' ' -f1)
STAMP := $(VENV)/.set-up-$(KEY)
export PATH := $(BIN):$(PATH)

.PHONY: demo test lab export set-up clean

demo: $(STAMP)
	$(call RUN,psr) demo --out "$(OUT)"

# Modules in step with the notebooks and notebooks clean; every notebook; then everything in tests/.
test: $(STAMP)
	$(call RUN,pytest) -q tests/test_notebooks.py
	$(call RUN,nbdev-test) --n-workers 1 --do-print --timing
	$(call RUN,pytest)

lab: $(STAMP)
	$(call RUN,jupyter-lab) $(if $(filter 0,$(shell id -u)),--allow-root) $(firstword $(wildcard nbs/30_explorer.ipynb) nbs/00_core.ipynb)

# After editing a notebook or the version in settings.ini.
export: $(STAMP)
	"$(BIN)/python" -c "from nbdev.config import set_version; set_version('psr_nb', '$(shell sed -n 's/^version *= *//p' settings.ini)')"
	$(call RUN,nbdev-export)
	$(call RUN,nbdev-clean)

set-up: $(STAMP)

$(STAMP):
	@set -e; \
	echo "Setting up $(VENV): some minutes and 6 GB the first time"; \
	if uv --version >/dev/null 2>&1; then \
	  [ -x "$(BIN)/python" ] || uv venv $(if $(PYTHON),--python "$(PYTHON)") "$(VENV)"; \
	  uv pip install --python "$(BIN)/python" -e '.[dev]'; \
	else \
	  [ -x "$(BIN)/python" ] || "$(or $(PYTHON),python3)" -m venv "$(VENV)"; \
	  "$(BIN)/python" -m pip install -e '.[dev]'; \
	fi; \
	rm -f "$(VENV)"/.set-up-*; touch "$@"

clean:
	rm -rf build dist *.egg-info .pytest_cache .hypothesis
	find nbs psr_nb tests -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

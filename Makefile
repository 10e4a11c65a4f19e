# sds3d: `make demo` sets up and makes an asset, `make test` sets up and passes the tests.
PYTHON ?= python3
VENV   ?= .venv
# Override to choose another build of torch, e.g. make demo TORCH="torch==2.13.0 --index-url <index>".
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
# The native core and torch share two settings that matter on busy machines (see docs/performance.md).
export OMP_WAIT_POLICY ?= passive

.PHONY: demo test test-slow lint bench docs clean install install-dev web

demo: install
	$(BIN)/sds3d run configs/quickstart.yaml

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sds3d needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml representations/raster/native/CMakeLists.txt \
		$(wildcard representations/raster/native/*.cpp representations/raster/native/*.h)
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[web,dev]'
	@touch $@

test: install-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2

test-slow: install-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -m slow

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf .typing && mkdir -p .typing/sds3d
	@for f in sds3d/*; do ln -s ../../$$f .typing/sds3d/; done
	@for f in guidance representations apps; do ln -s ../../$$f .typing/sds3d/; done
	cd .typing && ../$(BIN)/mypy --config-file ../pyproject.toml -p sds3d

bench: install-dev
	for f in benchmarks/gaussians.py benchmarks/surfels.py benchmarks/march.py benchmarks/triangles.py benchmarks/hash_grid.py; do OMP_NUM_THREADS=1 $(BIN)/python $$f || exit 1; done

docs: install
	$(BIN)/sds3d methods --markdown > docs/methods.md
	$(BIN)/python -m sds3d.cli.models_page docs/models.md

web: install
	$(BIN)/pip install --quiet --editable '.[web]'
	$(BIN)/sds3d web

clean:
	rm -rf build dist .typing .pytest_cache .ruff_cache .mypy_cache .hypothesis $(VENV)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

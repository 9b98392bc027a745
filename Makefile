# `make` lists the targets. Each sets up what it needs; `make setup` alone prepares the environment.
PYTHON ?= python3
BIN := .venv/bin
# Tests on one thread each, and four at a time also on two cores: many of them wait.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 4 --dist worksteal
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup demo data verify notebooks clear-notebooks present export test test-fast fuzz lint bench lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

setup: .venv/ready  ## create .venv with the pinned packages

.venv/ready: requirements.txt scripts/offline_plots.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: Python 3.11 or newer is needed; name one with make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
	$(BIN)/python scripts/offline_plots.py .venv/plots.html
	@touch $@

demo: setup  ## play the whole scenario in demo/, on handwritten digits
	@scripts/demo.sh

data: setup  ## download CIFAR-10 into data/, as data.dvc pins it
	$(BIN)/python scripts/get_data.py cifar10
	$(BIN)/dvc add data

verify: setup  ## run everything again in a temporary copy and compare the bits
	$(BIN)/python scripts/verify.py

notebooks: setup  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

clear-notebooks: setup  ## remove outputs from the notebooks, before a commit
	$(BIN)/jupyter nbconvert --log-level=WARN --clear-output --inplace --ClearMetadataPreprocessor.enabled=True \
	  --ClearMetadataPreprocessor.preserve_nb_metadata_mask="{'kernelspec', 'title'}" notebooks/*.ipynb

present: setup  ## show the model in a browser, to people who write no code
	$(BIN)/python scripts/present.py

export: setup  ## write demo.html, one file to send: results, and the model to try in a browser (needs npm)
	$(BIN)/python scripts/export_demo.py

test: setup lint  ## run all tests
	$(PYTEST)

test-fast: setup  ## run the unit tests, in a minute or two
	$(PYTEST) -m "not slow"

fuzz: setup  ## try FUZZ_EXAMPLES random inputs of each kind that is read (10,000: an hour or two)
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-10000} $(PYTEST) tests/fuzz

lint: setup  ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup  ## measure; see bench/README.md
	$(BIN)/python bench/malloc.py

lock:  ## resolve pyproject.toml into requirements.txt (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --quiet --custom-compile-command "make lock" -o requirements.txt

clean:  ## remove the environment, the demo and states of unfinished trainings
	rm -rf .venv demo .resume

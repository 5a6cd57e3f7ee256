# `make demo` and `make test` do all the set-up on a fresh machine: a virtual environment in .venv, nothing outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test install lint types unit schemas reference docs train package lowest clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

install: $(VENV)/.installed  ## install the package and the development tools into .venv

# Exit status 1 means that gates were missed, which the suite's thresholds.yaml shows on purpose at severe levels.
demo: install  ## run the reference suite under JPEG, and H.264 for clips, and say where the report is
	@$(BIN)/pytest -n 2 --lossy-codec=all model_specs; status=$$?; \
	if [ $$status -gt 1 ]; then exit $$status; fi; \
	echo; echo "Open the report: $(CURDIR)/lossy-report/index.html"

test: install lint types unit  ## lint, type-check and run every test

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

unit: install
	$(BIN)/pytest -n 2 --dist worksteal --maxfail=20

schemas: install  ## write the JSON Schemas that editors and tests read
	for name in spec thresholds results; do \
	  $(BIN)/pytest-lossy schema $$name > pytest_lossy/schemas/$$name.schema.json; \
	done

reference: schemas  ## write docs/reference from the code
	$(BIN)/python docs/_generate.py

docs: install  ## build the documentation into site/; a broken link or anchor is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

train: install  ## train the reference suite's models again (writes model_specs/weights/)
	$(BIN)/python model_specs/train_segnet.py
	$(BIN)/python model_specs/train_faster_rcnn.py
	$(BIN)/python model_specs/train_depth_gan.py
	$(BIN)/python model_specs/train_convnet.py
	$(BIN)/python model_specs/train_two_stream.py
	$(BIN)/python model_specs/train_pafnet.py
	$(BIN)/python model_specs/resilience/train.py

package: install  ## build the source archive and the wheel into dist/; the same commit gives the same bytes
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build -d dist
	cd dist && sha256sum pytest_lossy-*

lowest: install  ## test with the lowest versions of the dependencies (downloads them; torch stays as it is)
	$(BIN)/python tests/packaging/lowest.py

clean:  ## remove what the targets above made
	rm -rf $(VENV) dist site lossy-report .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Every target sets everything up first: an environment in .venv with the versions of
# constraints.txt. uv does the work, and is installed there where it is missing. Where PYTHON is older
# than .python-version says, uv finds or fetches a newer one.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready
# uv for the time in which there is no environment to put it in.
UV_DIR := .uv
WANTED := $(shell cat .python-version)

# What `compare`, `nightly` and `accept` take; all may be empty. A reason with a $ in it must come by
# the environment: make would expand it.
BASE    ?=
PROFILE ?=
MACHINE ?=
BRANCH  ?=
PUSH    ?=
GPU     ?=
COMMIT  ?=
REASON  ?=
export COMMIT REASON
WHERE = $(if $(MACHINE),--machine "$(MACHINE)") $(if $(BRANCH),--branch "$(BRANCH)") \
  $(if $(PUSH),--push)

define HELP
make bench      trains and compares two arms on the PINN problems
make test       tests all but what is slow; make test-all tests everything
make lint       checks style, types and layers; make format corrects style
make docs       builds the site; make notebooks executes the examples' notebooks again
make track      measures the last commit with asv, once
make compare    measures BASE and the last commit, and says what got worse
make nightly    measures new commits and publishes the pages
make accept     accepts a change of tracked values: COMMIT and REASON
make clean      removes the environment and what was built
endef
export HELP

.PHONY: help bench test test-all lint format docs notebooks venv clean track compare nightly accept

help:
	@echo "$$HELP"

bench: $(READY)
	$(RUN) -m bench.suite pinn --budget short --arm irelu --arm irelu+featurewise

PYTEST = $(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

# All but what takes long and has a faster sibling.
test: $(READY)
	$(PYTEST) -m "not slow"

test-all: $(READY)
	$(PYTEST)

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

format: $(READY)
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# Measures the last commit, once each: to see that asv works here.
track: $(READY)
	$(VENV)/bin/asv machine --yes
	$(VENV)/bin/asv run --quick --dry-run --show-stderr HEAD^!

# Measures BASE and the last commit, and says what got worse.
compare: $(READY)
	$(RUN) -m bench.nightly --base "$(or $(BASE),HEAD~1)" --profile $(or $(PROFILE),fast) --no-publish \
	  $(if $(MACHINE),--machine "$(MACHINE)")

# Measures new commits, compares with the last good one, publishes the pages in .asv/html.
nightly: $(READY)
	$(RUN) -m bench.nightly --profile $(or $(PROFILE),nightly) $(WHERE) \
	  $(if $(GPU),--require-gpu) $(if $(BASE),--base "$(BASE)")

accept: $(READY)
	$(RUN) -m bench.nightly --profile $(or $(PROFILE),nightly) $(WHERE) \
	  --accept "$$COMMIT" --reason "$$REASON"

# Checks every link, and that no page loads anything from elsewhere.
docs: $(READY)
	$(RUN) docs/generate.py
	$(VENV)/bin/zensical build --strict --clean
	$(RUN) docs/check_site.py site

# Executes the notebooks again and stores what they show: a minute on two cores.
notebooks: $(READY)
	$(RUN) docs/notebooks.py examples/*.ipynb

# Compiled bytecode halves the start-up of torch and DeepXDE.
$(READY): pyproject.toml constraints.txt
	test -x $(RUN) || $(MAKE) --no-print-directory venv
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" uv pip install --quiet --python $(RUN) \
	  --compile-bytecode -c constraints.txt -e '.[test,generate,docs]'
	touch $@

# An environment of PYTHON, or of what uv finds or fetches where that is too old. uv is in it too,
# unless it is on the PATH. Without pip, a PYTHON that is new enough does it by its own venv.
venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' && wanted="$(PYTHON)" || { \
	  wanted=$(WANTED); echo "$(PYTHON) is older than 3.12: uv takes a Python $(WANTED)"; }; \
	command -v uv >/dev/null || $(PYTHON) -m pip install --quiet --target $(UV_DIR) \
	  -c constraints.txt uv; \
	PATH="$$PATH:$(CURDIR)/$(UV_DIR)/bin"; \
	if command -v uv >/dev/null; then \
	  uv venv --quiet --python "$$wanted" $(VENV) \
	    || { echo "install Python $(WANTED) and name it: make PYTHON=python$(WANTED)"; exit 1; }; \
	  [ ! -d $(UV_DIR) ] || uv pip install --quiet --python $(RUN) -c constraints.txt uv; \
	else \
	  "$$wanted" -m venv $(VENV) && $(RUN) -m pip install --quiet -c constraints.txt uv; \
	fi

clean:
	rm -rf $(VENV) $(UV_DIR) build site

# `make bench` and `make test` set everything up first: an environment in .venv with the versions
# of constraints.txt. uv does the work, and is installed there where it is missing.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready

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

.PHONY: bench test test-all lint format clean track compare nightly accept

bench: $(READY)
	$(RUN) -m bench.suite pinn --arm irelu --arm irelu+lsuv

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

# Compiled bytecode halves the start-up of torch and DeepXDE.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
	  { echo "$(PYTHON) is older than 3.12; name another one: make PYTHON=python3.12"; exit 1; }
	test -x $(RUN) || { command -v uv >/dev/null && uv venv --quiet --python $(PYTHON) $(VENV); } \
	  || $(PYTHON) -m venv $(VENV)
	command -v uv >/dev/null || $(RUN) -m pip install --quiet -c constraints.txt uv
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" uv pip install --quiet --python $(RUN) \
	  --compile-bytecode -c constraints.txt -e '.[test,generate]'
	touch $@

clean:
	rm -rf $(VENV)

# Everything a developer, CI and a curious stranger runs. The first two need Python 3.11+, git and make only.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SLICE ?= 1/1
# Tests start a thousand processes; each would compile every module anew where this is set.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types unit soak browser crowd faults conformance mutants crash vectors bench-small bench bench-large engine-model attacks-full lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Strongroom needs Python 3.11 or later")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP) ## the whole story on real chats: relay, backup, new phone, damage found
	$(BIN)/python tools/demo.py

test: $(STAMP) lint types unit ## what CI runs

check: test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy tests tools benchmarks conformance/adapters examples/chat-app
	MYPYPATH=tests/independent $(BIN)/mypy --config-file= --strict --ignore-missing-imports tests/independent

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

attacks-full: $(STAMP) ## every attack of docs/attacks.md, with all cases of the matrices that CI takes a part of
	STRONGROOM_FULL=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q tests/adversary tests/architecture/test_attacks_table.py

soak: $(STAMP) ## ten minutes of devices, crashes, key changes and a lying relay in any order (60 s of it are in `make test`)
	STRONGROOM_SOAK_SECONDS=600 $(BIN)/python -m pytest -q -s tests/soak/test_soak.py

browser: $(STAMP) ## the example and the exported pages in a real Chromium; the relay is away for a minute (4 s in `make test`)
	STRONGROOM_AWAY_SECONDS=60 $(BIN)/python -m pytest -q tests/browser

crowd: $(STAMP) ## eight devices at once for two minutes, with kills and compaction (20 s of it are in `make test`)
	STRONGROOM_CROWD_SECONDS=120 $(BIN)/python -m pytest -q -s tests/crowd

faults: $(STAMP) ## kill, EIO and ENOSPC at every write of a relay and of a vault folder; needs strace (SLICE=K/N)
	STRONGROOM_FAULTS=$(SLICE) $(BIN)/python -m pytest -n 2 --dist worksteal -q tests/faults

conformance: $(STAMP) ## our client against the malicious relay, every scenario (SLICE=K/N for a part)
	$(BIN)/strongroom-conformance client conformance/adapters/strongroom_client.py --jobs 2 --slice $(SLICE) \
		--known-failures conformance/adapters/strongroom_client.known

mutants: $(STAMP) ## remove each check in turn; a test that cites it must fail (SLICE=K/N for a part)
	$(BIN)/python tools/mutants.py --slice $(SLICE)

crash: $(STAMP) ## SIGKILL client and relay in every phase, over 300 times; the table tells where
	$(BIN)/python tests/crash/harness.py --kills 330
	$(BIN)/python tests/crash/relay_kills.py --kills 8

vectors: $(STAMP) ## make spec/vectors anew, bit for bit the same
	$(BIN)/python tools/make_vectors.py

engine-model: $(STAMP) ## count the storage engine's bytes at S, M and L against its bounds
	$(BIN)/python benchmarks/engine_model.py

bench-small: $(STAMP) ## Strongroom beside its peers at S, under five minutes; then docs/benchmarks.md
	$(BIN)/python benchmarks/run.py --size S --out docs/benchmarks/S.json
	$(BIN)/python benchmarks/report.py

bench: $(STAMP) ## the same at M: 1 million messages and 1 GB of media
	$(BIN)/python benchmarks/run.py --size M --out docs/benchmarks/M.json
	$(BIN)/python benchmarks/report.py

bench-large: $(STAMP) ## how ours scales: 100 thousand, 1 million and 10 million messages in 5,000 chats
	$(BIN)/python benchmarks/run.py --size L --out docs/benchmarks/L.json
	$(BIN)/python benchmarks/report.py

lock: ## resolve requirements.lock again (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --output-file requirements.lock

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Two commands for a newcomer: `make test` and `make europe DATA=...`. Each sets up what it needs.

PYTHON ?= python3
DATA ?= ../shared/data
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup test europe lock format clean

help:
	@echo "make test                 set up, then run the whole test suite"
	@echo "make europe DATA=FOLDER   set up, then make the two-year reanalysis of Europe (FOLDER has eraint_europe_daily/)"
	@echo "make format               format the code and the rules, regenerate the reference pages"
	@echo "make lock                 pin the versions that are installed in constraints.txt"
	@echo "make clean                delete the environment and the caches (results stay)"

setup: .venv/installed

# uv reads the versions from constraints.txt; it is told of pip's own local folders of wheels, if this machine has any.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .uv
	.uv/bin/pip -q install uv
	.uv/bin/uv -q venv --allow-existing -p $(PYTHON) .venv
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$$($(PYTHON) -m pip config get global.find-links 2>/dev/null || true)}" \
	  .uv/bin/uv -q pip install -p .venv -c constraints.txt -e '.[dev]'
	touch $@

test: setup
	HINDSIGHT_DATA="$${HINDSIGHT_DATA:-$(abspath $(DATA))}" pytest

europe: setup
	snakemake --profile profiles/local --configfile config/europe.yaml --config data=$(DATA) --quiet rules host
	@hindsight verify.table --scores results/europe/verify/scores.nc --report results/europe/verify/report.html

lock: setup
	( head -n 1 constraints.txt; \
	  .uv/bin/uv pip freeze -p .venv | grep -v -E '^(torch|-e|hindsight)[= @]|^-e '; echo 'torch==2.13.0' ) > constraints.new
	mv constraints.new constraints.txt

format: setup
	ruff check --fix src tests benchmarks
	ruff format src tests benchmarks
	snakefmt Snakefile workflow
	python -m hindsight.reference

clean:
	rm -rf .venv .uv .pytest_cache .ruff_cache .snakemake

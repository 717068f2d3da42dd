# Three commands for a newcomer: `make demo`, `make test`, `make europe DATA=...`. Each sets up what it needs.

PYTHON ?= python3
DATA ?= ../shared/data
# what jobs may use together (MB): most of what the machine has
MEMORY ?= $(shell $(PYTHON) -c "import os; print(int(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') * 9e-7))")
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Run the workflow, and show the progress that its jobs tell while their output goes to logs/.
define run
	@mkdir -p logs && : > logs/progress
	@tail -n +1 -f logs/progress & follower=$$!; trap 'kill $$follower' EXIT; \
	  HINDSIGHT_PROGRESS=$(CURDIR)/logs/progress snakemake --profile profiles/local --resources mem_mb=$(MEMORY) $(1) --quiet rules host
endef

.PHONY: help setup demo test test-slurm europe install-profiles lock format clean

help:
	@echo "make demo                 set up, then reanalyse a winter of the built-in world: no data needed, ten to twenty minutes"
	@echo "make test                 set up, then run the whole test suite"
	@echo "make test-slurm           the part of it that runs a SLURM of two nodes on this machine (packages: see what it says)"
	@echo "make install-profiles     put the profiles where Snakemake looks for names: snakemake --profile slurm"
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
	OMP_NUM_THREADS=1 HINDSIGHT_DATA="$${HINDSIGHT_DATA:-$(abspath $(DATA))}" pytest -n auto --maxprocesses 4 --dist loadfile

test-slurm: setup
	pytest tests/slurm -rs

install-profiles: setup
	workflow/scripts/install-profiles

demo: setup
	$(call run,)
	@hindsight verify.table --scores results/demo/verify/scores.nc --report results/demo/verify/report.html

europe: setup
	$(call run,--configfile config/europe.yaml --config data=$(DATA))
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
	workflow/scripts/resources-table > resources.new && mv resources.new docs/reference/resources.md

clean:
	rm -rf .venv .uv .pytest_cache .ruff_cache .snakemake

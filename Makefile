# Three commands for a newcomer: `make demo`, `make test`, `make europe DATA=...`. Each sets up what it needs.

PYTHON ?= python3
DATA ?= ../shared/data
CASES ?= ../shared/cases
# the build of torch: auto, cpu or cuda; empty: as it was set up, and auto the first time
TORCH ?=
# memory of all jobs together (MB): nine tenths of the machine's
MEMORY ?= $(shell echo $$(( $$(getconf _PHYS_PAGES) * $$(getconf PAGE_SIZE) * 9 / 10000000 )))
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# bytecode is always kept, whatever the environment says: otherwise every job would compile the sources again
export PYTHONDONTWRITEBYTECODE :=

# Run the workflow, and show the progress of its jobs, whose output goes to logs/. With --quiet Snakemake does not show the
# log of a job that failed, but the command, which names it.
define run
	@mkdir -p logs && : > logs/progress && touch logs/started
	@tail -n +1 -f logs/progress & follower=$$!; trap 'kill $$follower' EXIT; \
	  HINDSIGHT_PROGRESS=$(CURDIR)/logs/progress snakemake --profile profiles/local --resources mem_mb=$(MEMORY) $(1) --quiet rules host || { \
	    find .snakemake/log -type f -newer logs/started -exec sed -n "s/^Command .* > \(.*\) 2>&1' returned .*/\1/p" {} + | xargs -r tail -n 30; \
	    exit 1; }
endef

.PHONY: help setup setup-docs demo docs test test-all test-slurm gpu-check lint coverage europe barometers rain install-profiles lock format reference dist clean

help:
	@echo "make demo                 set up, then reanalyse a winter of the built-in world: no data needed, 6.4 minutes on two cores"
	@echo "make test                 set up, then run the tests that are not marked slow"
	@echo "make test-all             also the slow tests, which kill jobs and run every domain and every command of the docs"
	@echo "make test-slurm           the tests that run a SLURM of two nodes on this machine (it names missing packages)"
	@echo "make gpu-check            compare the GPU with the CPU and measure it: results/gpu.json"
	@echo "make setup                only set up, in .venv; TORCH=cpu or TORCH=cuda says which torch, PYTHON=python3.12 which Python"
	@echo "make install-profiles     copy the profiles to Snakemake's folder: snakemake --profile slurm"
	@echo "make europe DATA=FOLDER   set up, then make the two-year reanalysis of Europe (FOLDER has eraint_europe_daily/)"
	@echo "make barometers DATA=...  the same from real observations (FOLDER also has obs_europe_daily/)"
	@echo "make rain                 rain every five minutes from the built-in showers; with DATA=FOLDER from radar (radar_knmi_20100826/)"
	@echo "make lint                 check style, spelling, types and the format of code and rules; changes nothing"
	@echo "make coverage             run the tests of \`make test\` and report which lines they do not reach"
	@echo "make docs                 set up, then build the documentation's site: open site/index.html"
	@echo "make format               format the code and the rules, regenerate the reference pages"
	@echo "make dist                 build the wheel and the sdist in dist/"
	@echo "make lock                 pin the versions that are installed in constraints.txt"
	@echo "make clean                delete the environment and the caches (results stay)"

setup: .venv/installed

# The script runs each time and does nothing if .venv is complete. `python3` is that of .venv once there is one.
.venv/installed: FORCE
	@$(PYTHON) -c "" 2>/dev/null || \
	  { echo "No Python runs as \`$(PYTHON)\`: name one that does, for example \`make setup PYTHON=python3.12\`." >&2; exit 1; }
	@$(PYTHON) envs/set_up.py --torch "$(TORCH)"

FORCE:

# The packages of the site are 18,000 files, so `make setup` leaves them out.
setup-docs: setup
	@$(PYTHON) envs/set_up.py --extra docs

# The theme is maintained until May 2027; its successor, Zensical, reads mkdocs.yml too.
docs: setup-docs
	@NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "The site: site/index.html"

# The slowest files come first. There are two workers more than cores (at most six), because one waits for SLURM most of
# the time, and tests of whole runs wait for the run's processes.
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) < 4 ? $$(getconf _NPROCESSORS_ONLN) + 2 : 6 )))
define pytest
	OMP_NUM_THREADS=1 HINDSIGHT_DATA="$${HINDSIGHT_DATA:-$(abspath $(DATA))}" \
	  HINDSIGHT_CASES="$${HINDSIGHT_CASES:-$(abspath $(CASES))}" \
	  pytest -rs -n $(WORKERS) --dist loadfile --no-loadscope-reorder
endef

test: setup-docs
	$(pytest) -m "not slow"

test-all: setup-docs
	$(pytest)

test-slurm: setup
	pytest tests/slurm -rs

gpu-check: setup
	python benchmarks/gpu.py --json results/gpu.json

lint: setup
	ruff check src tests benchmarks setup.py docs/hooks.py
	ruff format --check src tests benchmarks setup.py docs/hooks.py
	snakefmt --check Snakefile workflow
	codespell
	ty check

# Processes that Snakemake starts are not measured.
coverage: setup-docs
	$(pytest) -m "not slow" --cov --cov-report=term --cov-report=html:coverage

install-profiles: setup
	workflow/scripts/install-profiles

demo: setup
	$(call run,)
	@hindsight verify.table --scores results/demo/verify/scores.nc --report results/demo/verify/report.html

europe: setup
	$(call run,--configfile config/europe.yaml --config data=$(DATA))
	@hindsight verify.table --scores results/europe/verify/scores.nc --report results/europe/verify/report.html

barometers: setup
	$(call run,--configfile config/barometers.yaml --config data=$(DATA))
	@hindsight verify.table --scores results/barometers/verify/scores.nc --report results/barometers/verify/report.html

# Without DATA, the built-in showers.
RAIN = $(if $(filter file,$(origin DATA)),showers,rain)
RAIN_DATA = $(if $(filter rain,$(RAIN)),--config data=$(DATA))

rain: setup
	$(call run,--configfile config/$(RAIN).yaml $(RAIN_DATA))
	@hindsight verify.table --scores results/$(RAIN)/verify/scores.nc --report results/$(RAIN)/verify/report.html

lock: setup-docs
	( head -n 1 constraints.txt; \
	  .uv/bin/uv pip freeze -p .venv | grep -v -E '^(torch|-e|hindsight)[= @]|^-e '; echo 'torch==2.13.0' ) > constraints.new
	mv constraints.new constraints.txt

format: setup
	ruff check --fix src tests benchmarks setup.py docs/hooks.py
	ruff format src tests benchmarks setup.py docs/hooks.py
	snakefmt Snakefile workflow
	$(MAKE) reference

reference: setup
	python -m hindsight.reference
	workflow/scripts/resources-table > resources.new && mv resources.new docs/reference/resources.md

# Without isolation `build` uses the setuptools of .venv, and nothing is downloaded.
dist: setup
	rm -rf build dist
	python -m build --no-isolation

clean:
	rm -rf .venv .uv site build dist coverage .coverage .pytest_cache .ruff_cache .snakemake

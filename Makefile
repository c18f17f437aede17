# `make help` lists the targets. Recipes run in this folder and name files relative to it, so that
# the folder's own path may hold spaces.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PROJECTS := packages/open-debugger packages/local-sagemaker .
ENGINE := $(MAKE) --no-print-directory -C packages/local-sagemaker
RUN := $(BIN)/local-sagemaker run --state build/state -- $(BIN)

# DATA: a folder of photos, or an archive of one. CLASSES: how many of the 133 breeds to draw without it.
# DEBUGGER: who evaluates Debugger's rules, managed or self.
export COURSE_MODE = local
export COURSE_DATA = $(if $(DATA),$(if $(filter /%,$(firstword $(DATA))),,$(CURDIR)/)$(DATA))
export COURSE_CLASSES = $(CLASSES)
export COURSE_DEBUGGER = $(DEBUGGER)
# Real photos show more than drawn ones, so they are not trained at local mode's smaller size.
export COURSE_IMAGE_SIZE ?= $(if $(DATA),224)

help: ## List the targets
	@grep -hE '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'
$(READY): requirements.txt $(addsuffix /pyproject.toml,$(PROJECTS)) tools/install.sh
	@PYTHON="$(PYTHON)" TORCH_BACKEND="$(TORCH_BACKEND)" sh tools/install.sh $(PROJECTS)
install: $(READY) ## Create .venv with the course and both packages (TORCH_BACKEND=cpu)
tools: ## Install a browser with apt, which make test needs; nothing happens if there is one
	@sh tools/browser.sh

course: $(READY) ## Run the four notebooks on a fresh local engine (DATA=folder, CLASSES=12, DEBUGGER=self)
	rm -rf build/state
	$(RUN)/python -m tools.run
lab: $(READY) ## JupyterLab on a local engine
	$(RUN)/jupyter lab --ServerApp.tornado_settings="{'websocket_max_message_size': 104857600}" notebooks
render: $(READY) ## Execute the notebooks in place, for the outputs that are committed
	rm -rf build/state
	$(RUN)/python -m tools.run --in-place
site: $(READY) ## The lessons, solutions, report and docs as static pages in build/site, and a check of their links
	rm -rf build/site
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going -c tools/site -d build/site-doctrees . build/site
	$(BIN)/python -m tools.site.check build/site
img: $(READY) ## Take the README's pictures from the last run
	$(BIN)/python -m tools.pictures

test: tools $(READY) ## All that continuous integration runs: the parts below, then a table of their seconds
	$(BIN)/python -m tools.test
test-all: tools $(READY) ## The same, the tests that are marked slow, and check-lessons
	$(BIN)/python -m tools.test --all
test-lint test-docs test-debugger test-engine test-course test-notebooks test-lessons: $(READY) ## One part of make test-all
	$(BIN)/python -m tools.test $(@:test-%=%)

check-lessons: $(READY) ## The notebooks by nbval on the default set: what must not change is compared (9 minutes)
	rm -rf build/check
	COURSE_REPORTS="$(CURDIR)/build/check/reports" $(BIN)/local-sagemaker run --state build/check/state -- \
	    $(BIN)/python -m pytest -p no:cacheprovider --nbval-lax --nbval-cell-timeout=900 --timeout=960 notebooks
check-claims: $(READY) ## What the notebooks say, with another seed, without dogs, and upside down (25 minutes)
	$(BIN)/python -m pytest -p no:nbval tests/notebooks/test_claims.py
check-containers: $(READY) ## The scripts in Python environments like those of AWS's containers (PYTHON312=path)
	$(if $(TORCH_BACKEND),UV_TORCH_BACKEND=$(TORCH_BACKEND)) $(BIN)/python tests/containers/check.py
check-v2: $(READY) ## SDK v2's projects and clients, and the AWS command line, on the engine (10 minutes)
	@$(ENGINE) check-v2
check-real: $(READY) ## Our recipe from scratch on real photos beside plain SGD and Adam (DATA=folder, REAL="--jobs 2")
	$(BIN)/python -m benchmarks.real --data "$(DATA)" $(REAL)
faults: $(READY) ## Kill the engine, jobs and endpoints 50 times, fill its disk 10 times, kill training 20 times (FAULT_SEED, KILL_SEED)
	@$(ENGINE) faults
	KILL_POINTS=$${KILL_POINTS:-20} $(BIN)/python -m pytest -s tests/entry_points/test_training_faults.py
fuzz: $(READY) ## 2,000 requests for the engine, 5,000 bodies for inference.py (FUZZ_REQUESTS, FUZZ_BODIES, FUZZ_SEED)
	@$(ENGINE) fuzz
	FUZZ_BODIES=$${FUZZ_BODIES:-5000} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} \
	    $(BIN)/python -m pytest -s tests/entry_points/test_inference_fuzz.py
bench: $(READY) ## Engine, hook, profiler and training beside named peers (takes minutes, wants a quiet machine)
	@$(ENGINE) bench
	@$(MAKE) --no-print-directory -C packages/open-debugger bench
	for each in debugger profiler training; do $(BIN)/python benchmarks/$$each.py || exit 1; done
record-gpu: $(READY) ## Record a starved and a fed run on this machine's GPU, for notebook 03
	$(BIN)/python -m benchmarks.record_gpu
rules-matrix: $(READY) ## Debugger's rules on healthy and on ill runs, into debugger-rules.md (MATRIX=--text)
	$(BIN)/python -m benchmarks.rules_matrix $(MATRIX)

aws-smoke: $(READY) ## Two trials and an endpoint on AWS, all deleted again; at most 1 USD, after a question (YES=1)
	COURSE_MODE=aws COURSE_DEVICE=cpu $(BIN)/python -m tools.aws_smoke
aws-smoke-here: $(READY) ## The same against the local engine
	$(BIN)/local-sagemaker run -- $(BIN)/python -m tools.aws_smoke

docs: $(READY) ## Generate the tables in the docs from the code
	$(BIN)/python -m tools.docs
grade: $(READY) ## What the checking cells said in the notebooks of a folder (SUBMISSIONS=folder)
	$(BIN)/python -m tools.grade "$(SUBMISSIONS)"
lint-lessons: $(READY) ## What is wrong with the form of the notebooks; never fails
	$(BIN)/python -m tools.lint_lessons
sync: ## Copy open_debugger's sampler to entry_points/debugger, which is shipped alone
	cd packages/open-debugger/src/open_debugger/profiler && cp sampler.py sampling.py "$(CURDIR)/entry_points/debugger"
lock: ## Compile requirements.txt anew from the three pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-emit-index-url \
	    --no-annotate --no-emit-package open-debugger --no-emit-package local-sagemaker pyproject.toml -o requirements.txt
format: $(READY) ## Let ruff format the code
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
clean: ## Remove what running made (not .venv)
	rm -rf build .local_sagemaker .*_cache .hypothesis packages/*/build
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: $(shell sed -n 's/^\([a-z0-9 -]*\):.*\#\# .*/\1/p' Makefile)

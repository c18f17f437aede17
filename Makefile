# `make help` lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STATE := build/state
DRY := build/dry
# Another region and another name of the role than local mode's, so that neither can hide.
DRY_REGION := eu-west-1
DRY_ROLE := arn:aws:iam::123456789012:role/service-role/local-sagemaker

# Where the notebooks get their photos, how many breeds are drawn, who evaluates the Debugger rules
# (managed or self); see README.
DATA ?=
CLASSES ?=
DEBUGGER ?=
export COURSE_MODE = local
export COURSE_DATA = $(if $(DATA),$(abspath $(DATA)))
export COURSE_CLASSES = $(CLASSES)
export COURSE_DEBUGGER = $(DEBUGGER)

# cpu or auto where uv reaches PyTorch's own builds; else what the package index gives.
TORCH_BACKEND ?=
UV_TORCH := $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 12) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip sync --quiet $(UV_TORCH) requirements.txt
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

.PHONY: install
install: $(READY) ## Create .venv with everything in it

.PHONY: course
course: $(READY) ## Run the four notebooks on a fresh local engine (DATA=folder, CLASSES=133, DEBUGGER=self)
	rm -rf $(STATE)
	$(BIN)/local-sagemaker run --state $(STATE) -- $(BIN)/python -m course.run

.PHONY: course-aws-dry
course-aws-dry: $(READY) ## Run the notebooks in AWS mode without AWS, and check every request
	rm -rf $(DRY)
	$(BIN)/python -c 'from course.drawn import sample; sample.make("$(DRY)/photos", 2, (16, 4, 4))'
	@$(MAKE) --no-print-directory -j2 $(DRY)/local.jsonl $(DRY)/aws.jsonl
	$(BIN)/python -m course.dry.audit $(DRY)/local.jsonl $(DRY)/aws.jsonl --role $(DRY_ROLE)

# The notebooks as they are, on few photos; at once, because each waits for its jobs most of the time.
$(DRY)/%.jsonl: export COURSE_DATA = $(abspath $(DRY)/photos)
$(DRY)/%.jsonl: export COURSE_DEBUGGER = self
$(DRY)/%.jsonl: export COURSE_REPORTS = $(abspath $(DRY))/$*
$(DRY)/aws.jsonl: export COURSE_MODE = aws
$(DRY)/aws.jsonl: export COURSE_ROLE = $(DRY_ROLE)
$(DRY)/aws.jsonl: export AWS_REGION = $(DRY_REGION)
$(DRY)/aws.jsonl: AS_AWS := --as-aws --deny iam:SimulatePrincipalPolicy
$(DRY)/%.jsonl:
	$(BIN)/local-sagemaker run --record $@ $(AS_AWS) -- $(BIN)/jupyter nbconvert --execute \
	    --to notebook --log-level=WARN --ExecutePreprocessor.extra_arguments=--log-level=ERROR \
	    --output-dir $(DRY)/$* $(sort $(wildcard notebooks/0*.ipynb))

.PHONY: render
render: $(READY) ## Execute the notebooks in place, for the outputs that are committed
	rm -rf $(STATE)
	$(BIN)/local-sagemaker run --state $(STATE) -- $(BIN)/python -m course.run --in-place

.PHONY: img
img: $(READY) ## Take the README's pictures from the last run
	$(BIN)/python -m course.pictures

# A browser with a font: what `make test` needs besides Python. Nothing is asked of apt where it is.
TOOLS := chromium fonts-dejavu-core
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
.PHONY: tools
tools: ## Install with apt what `make test` needs besides Python (a browser), if it is missing
	@for browser in $(BROWSERS); do command -v $$browser >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as=sudo; else as=no; fi; \
	if [ "$$as" = no ] || ! command -v apt-get >/dev/null; then \
	    echo "make test needs a browser: install $(TOOLS), as by: sudo apt-get install $(TOOLS)" >&2; exit 1; \
	fi; \
	$$as apt-get update -qq && \
	$$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(TOOLS)

.PHONY: test
test: tools $(READY) ## Lint, unit and fault tests, all notebooks by nbval, and the dry run of AWS mode
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest tests
	COURSE_REPORTS=$(abspath build/reports) $(BIN)/python -m pytest --nbval-lax --nbval-cell-timeout=300 --no-header notebooks
	@$(MAKE) --no-print-directory course-aws-dry

.PHONY: fuzz
fuzz: $(READY) ## Send 2,000 drawn requests to an engine, 5,000 bodies to inference.py (FUZZ_REQUESTS, FUZZ_BODIES, FUZZ_SEED)
	FUZZ_REQUESTS=$${FUZZ_REQUESTS:-2000} FUZZ_BODIES=$${FUZZ_BODIES:-5000} \
	FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} $(BIN)/python -m pytest -s tests/test_fuzz.py tests/test_inference_fuzz.py

.PHONY: check-containers
check-containers: $(READY) ## The scripts in Python environments like those of AWS's containers (PYTHON312=path)
	$(if $(TORCH_BACKEND),UV_TORCH_BACKEND=$(TORCH_BACKEND)) $(BIN)/python tests/containers/check.py

V2 := build/v2
V2_TESTS := tests/v2
$(V2)/.ready: tests/v2/requirements.txt $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(V2)
	VIRTUAL_ENV=$(abspath $(V2)) $(BIN)/uv pip install --quiet --requirement tests/v2/requirements.txt
	@touch $@

.PHONY: check-v2
check-v2: $(V2)/.ready ## Clients of SageMaker SDK v2 and the AWS command line against the engine (10 minutes)
	LOCAL_SAGEMAKER_COMMAND=$(abspath $(BIN))/local-sagemaker $(BIN)/local-sagemaker run -- \
	    $(V2)/bin/python -m pytest -c tests/v2/pytest.ini --rootdir tests/v2 $(V2_TESTS)

.PHONY: faults
faults: $(READY) ## Kill the engine, jobs and endpoints 50 times under load, and training 20 times (FAULT_SEED, KILL_SEED)
	FAULT_POINTS=$${FAULT_POINTS:-50} KILL_POINTS=$${KILL_POINTS:-20} \
	    $(BIN)/python -m pytest -s tests/test_faults.py tests/test_training_faults.py

.PHONY: bench
bench: $(READY) ## What engine, hook, profiler and training cost, beside named peers (takes minutes, wants a quiet machine)
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/debugger.py
	$(BIN)/python benchmarks/profiler.py
	$(BIN)/python benchmarks/training.py

.PHONY: record-gpu
record-gpu: $(READY) ## Record a starved and a fed run on this machine's GPU, for notebook 03
	$(BIN)/python -m benchmarks.record_gpu

.PHONY: rules-matrix
rules-matrix: $(READY) ## Debugger's rules on healthy and on ill runs, into docs/debugger-rules.md (MATRIX=--text)
	$(BIN)/python -m benchmarks.rules_matrix $(MATRIX)

.PHONY: check-real
check-real: $(READY) ## Our recipe from scratch on real photos, beside plain SGD and Adam (DATA=folder, 25 minutes; REAL="--jobs 2")
	$(BIN)/python -m benchmarks.real --data "$(DATA)" $(REAL)

.PHONY: lab
lab: $(READY) ## JupyterLab on a local engine
	$(BIN)/local-sagemaker run --state $(STATE) -- $(BIN)/jupyter lab \
	    --ServerApp.tornado_settings="{'websocket_max_message_size': 104857600}" notebooks

.PHONY: lock
lock: ## Compile requirements.txt anew from pyproject.toml
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	    --all-extras --no-header --no-emit-index-url --no-annotate pyproject.toml -o requirements.txt

.PHONY: format
format: $(READY) ## Let ruff format the code
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.PHONY: clean
clean: ## Remove what running made (not .venv)
	rm -rf build .local_sagemaker .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

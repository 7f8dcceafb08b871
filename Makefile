# Needs make and Python 3. Everything else comes from the package registry; nothing needs root.
#   make run ARGS="--set split.method=time"
.DEFAULT_GOAL := help
.PHONY: help run dev test test-all test-engines kubernetes docs peers image image-check sbom sbom-image lint format lock clean

PYTHON ?= python3
ARGS ?=
VARIANT ?= cpu
VERSION := $(shell sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q;}' pyproject.toml)
IMAGE ?= movierec:$(VERSION)$(addprefix -,$(filter-out cpu,$(VARIANT)))
VENV := .venv
BIN := $(VENV)/bin
UV := .bootstrap/bin/uv
UV_PIP := $(UV) pip
COMPILE := $(UV_PIP) compile --quiet --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
# The address of a package index, for a build that cannot use the tools' own.
INDEX_ARGS = $(foreach name,PIP_INDEX_URL UV_INDEX_URL,$(if $($(name)),--build-arg $(name)))
# Further options of the engine's build, such as --build-arg BASE=NAME@sha256:DIGEST.
BUILD_ARGS ?=
IMAGE_LOCK = requirements$(addprefix -,$(filter-out cpu,$(VARIANT))).lock
CHECK_VARIANT = test -n "$(filter cpu gpu,$(VARIANT))" \
	|| { echo "movierec: VARIANT=$(VARIANT): expected cpu or gpu" >&2; exit 1; }
FIND_ENGINE = engine=$$(for engine in docker podman; do \
		"$$engine" info >/dev/null 2>&1 && echo "$$engine" && break; done); \
	test -n "$$engine" || { echo "movierec: neither Docker nor Podman answers: install one of" \
		"them and start it; 'docker info' or 'podman info' has to succeed" >&2; exit 1; }
BUILD_IMAGE = "$$engine" build --platform linux/amd64 $(INDEX_ARGS) \
	--build-arg LOCK=$(IMAGE_LOCK) $(BUILD_ARGS) --file kubeflow/Dockerfile --tag "$(IMAGE)" .
# Runs inside the image. Three epochs make no good model, but show that every step works.
CHECK_IMAGE = for tool in cc hatchling make pip uv; do \
		if command -v $$tool; then echo "movierec: a build tool is in the image" >&2; exit 1; fi; \
	done; \
	movierec compile --target kfp --image movierec:check --pipeline-root gs://image-check/root \
		-o job.yaml --set training.epochs=3 --set gate.max_rmse=1.2 \
	&& movierec run-compiled job.yaml --workspace workspace
SBOM_ARGS := --output-reproducible
LIST_IMAGE = import runpy, sys; sys.path.append("/tool"); \
	sys.argv = "cyclonedx-py environment $(SBOM_ARGS) /opt/movierec".split(); \
	runpy.run_module("cyclonedx_py", run_name="__main__")

help: ## prints this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: $(RUNTIME) ## runs the whole pipeline on MovieLens-100K
	@$(BIN)/movierec run $(ARGS)

dev: $(DEV) ## installs what the tests, the checks and the tutorials' pictures need

test: $(DEV) ## runs the fast tests
	$(BIN)/pytest -n 2 --dist loadscope -m "not slow" $(ARGS)

test-all: $(DEV) ## runs all tests, the slow ones too
	@# In the order of the files: the slowest has few tests, and would come last.
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

test-engines: $(DEV) ## runs what needs engines that are there, and names what it skips
	@test ! -d .engines || export KUBEBUILDER_ASSETS=$(CURDIR)/.engines/bin \
			KUBERNETES_CRDS=$(CURDIR)/.engines/crds; \
		$(BIN)/pytest -rs tests/engines $(ARGS)

kubernetes: ## builds a Kubernetes API server for test-engines with Go, in .engines
	tests/engines/build_kubernetes.sh .engines

docs: .docs/.installed ## builds the documentation with the API in site/
	@# Not by --quiet, which hides warnings from --strict. The variable silences the theme's
	@# announcement about MkDocs 2.
	@NO_MKDOCS_2_WARNING=1 PATH="$(CURDIR)/.docs/bin:$$PATH" .docs/bin/mkdocs build --strict \
		>.docs/build.log 2>&1 || { grep -E "WARNING|ERROR|Aborted|rror:" .docs/build.log >&2; exit 1; }
	@echo "built site/; $(PYTHON) -m http.server --bind 127.0.0.1 --directory site shows it"

peers: .peers/.installed $(RUNTIME) ## installs the libraries that the benchmarks compare with

image: ## builds the container image with Docker or Podman: VARIANT=cpu or gpu, IMAGE=NAME:TAG
	@$(CHECK_VARIANT)
	@$(FIND_ENGINE); $(BUILD_IMAGE)

image-check: ## builds the image and has it compile and run a job, without a network
	@$(CHECK_VARIANT)
	@$(FIND_ENGINE); $(BUILD_IMAGE) && "$$engine" run --rm --network none --read-only --tmpfs /tmp \
		--entrypoint sh "$(IMAGE)" -c '$(CHECK_IMAGE)'

sbom: .sbom/.installed ## lists the locked packages with their licences in dist/ (CycloneDX)
	@$(UV) venv --quiet --clear --python 3.11 .sbom/locked
	@$(UV_PIP) sync --quiet --python .sbom/locked/bin/python --require-hashes requirements.lock
	@mkdir -p dist
	.sbom/tool/bin/cyclonedx-py environment $(SBOM_ARGS) --pyproject pyproject.toml \
		--output-file .sbom/locked.json .sbom/locked
	@mv .sbom/locked.json dist/movierec-$(VERSION).cdx.json

# The image has no tool of the kind, so it is given this one for the moment.
sbom-image: .sbom/.installed ## lists the packages in the image likewise, with Docker or Podman
	@mkdir -p dist
	@$(FIND_ENGINE); "$$engine" run --rm --network none --read-only --tmpfs /tmp \
		--volume "$(CURDIR)/.sbom/tool/lib/python3.11/site-packages:/tool:ro" \
		--entrypoint python "$(IMAGE)" -c '$(LIST_IMAGE)' >.sbom/image.json
	@mv .sbom/image.json dist/movierec-image-$(VERSION).cdx.json
	@echo "dist/movierec-image-$(VERSION).cdx.json"

lint: $(DEV) ## checks the code with ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV) ## formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(UV) ## pins the newest versions that pyproject.toml allows
	$(COMPILE) --upgrade --group data pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --group build -c requirements.lock -o requirements-build.lock
	$(COMPILE) --upgrade --group dev -c requirements.lock -c requirements-build.lock \
		-o requirements-dev.lock
	$(COMPILE) --upgrade --no-annotate --group data --extra gpu -c requirements.lock pyproject.toml \
		-o requirements-gpu.lock
	$(COMPILE) --upgrade --group docs -c requirements-dev.lock -o requirements-docs.lock
	$(COMPILE) --upgrade --group peers -o requirements-peers.lock
	$(COMPILE) --upgrade --group sbom -o requirements-sbom.lock
	echo uv | $(COMPILE) --upgrade --no-annotate - -o requirements-uv.lock

clean: ## removes what was installed; keeps the workspace with its models
	rm -rf $(VENV) .bootstrap .docs .engines .peers .sbom dist site .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# uv has its own environment, so that the project's holds only what is locked.
$(UV): requirements-uv.lock
	@rm -rf .bootstrap
	@$(PYTHON) -m venv .bootstrap 2>/dev/null \
		|| { $(PYTHON) -m venv --clear --without-pip .bootstrap && $(PYTHON) -m pip --version; } \
			>/dev/null 2>&1 \
		|| { rm -rf .bootstrap; \
			echo "movierec: $(PYTHON) has neither venv nor pip: install one of them" >&2; exit 1; }
	@{ test -x .bootstrap/bin/pip && .bootstrap/bin/pip --version >/dev/null \
			&& pip=.bootstrap/bin/pip || pip="$(PYTHON) -m pip --python .bootstrap/bin/python"; \
		$$pip install --quiet --disable-pip-version-check --require-hashes \
			-r requirements-uv.lock; } || { rm -rf .bootstrap; exit 1; }
	@touch $@

$(RUNTIME): requirements.lock requirements-build.lock pyproject.toml | $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --python 3.11 $(VENV)
	@echo "installing requirements.lock into $(VENV)"
	@rm -f $(DEV)
	@$(UV_PIP) sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode \
		requirements.lock requirements-build.lock
	@$(UV_PIP) install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(RUNTIME) requirements-dev.lock
	@echo "installing requirements-dev.lock into $(VENV)"
	@$(UV_PIP) install --quiet --python $(BIN)/python --require-hashes --compile-bytecode \
		-r requirements-dev.lock
	@touch $@

# An environment of its own: pages are made from the source, which is read and never imported.
.docs/.installed: requirements-docs.lock | $(UV)
	@echo "installing requirements-docs.lock into .docs"
	@$(UV) venv --quiet --clear --python 3.11 .docs
	@$(UV_PIP) install --quiet --python .docs/bin/python --require-hashes -r requirements-docs.lock
	@touch $@

# An environment of their own: they want releases of NumPy that TFX does not.
.peers/.installed: requirements-peers.lock | $(UV)
	@echo "installing requirements-peers.lock into .peers"
	@$(UV) venv --quiet --clear --python 3.11 .peers
	@$(UV_PIP) install --quiet --python .peers/bin/python --require-hashes -r requirements-peers.lock
	@touch $@

# An environment of its own, so that the list has nothing of the tool.
.sbom/.installed: requirements-sbom.lock | $(UV)
	@echo "installing requirements-sbom.lock into .sbom"
	@$(UV) venv --quiet --clear --python 3.11 .sbom/tool
	@$(UV_PIP) install --quiet --python .sbom/tool/bin/python --require-hashes \
		-r requirements-sbom.lock
	@touch $@

# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
DEMO_VENV := .venv-demo
ARGS ?=

.PHONY: demo test lint matrix matrix-newest matrix-next frameworks wandb-files bench dist sbom clean

demo: $(DEMO_VENV)/installed
	$(DEMO_VENV)/bin/python examples/demo.py $(ARGS)

# More at once than there are cores: tests wait for processes and clocks more than they compute.
test: $(VENV)/installed
	$(VENV)/bin/python -m pytest --numprocesses=$$((2 * $$(nproc))) $(ARGS)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/shellcheck install.sh .ci/run .ci/servers
	$(VENV)/bin/zizmor --offline --quiet .github
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

# The ends of the supported range: the oldest Python with the oldest wandb, the newest of both. An interpreter that the
# machine has not (Debian has no 3.7) is skipped, and said.
matrix: $(VENV)/installed
	$(VENV)/bin/nox --no-error-on-missing-interpreters --session ends

# What changes without us: the newest wandb, and the pre-release of the next one where the index has one.
matrix-newest matrix-next: matrix-%: $(VENV)/installed
	$(VENV)/bin/nox --session $*

# Tiny real trainings of frameworks of several gigabytes: Lightning, Transformers, Keras, JAX, Stable-Baselines3, …
frameworks: $(VENV)/installed
	$(VENV)/bin/nox --session frameworks

# The files of every minor version of wandb that tests read, made again; some with ARGS="0.31.0".
wandb-files: $(VENV)/installed
	$(VENV)/bin/nox --session wandb_files -- $(ARGS)

bench: $(VENV)/installed
	$(VENV)/bin/python -m benchmarks $(ARGS)

# What a release publishes, and what it needs (CycloneDX).
dist: $(VENV)/installed
	rm -rf dist
	$(VENV)/bin/python -m build
	$(VENV)/bin/twine check --strict dist/*

sbom: dist
	$(VENV)/bin/nox --session sbom

# A user's installation: the built package, not the source tree.
$(DEMO_VENV)/installed: pyproject.toml $(shell find src -type f -not -name '*.pyc') primus_lens_wandb_hook.pth
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(DEMO_VENV)/bin/python -m pip install --quiet ".[local]" scikit-learn
	touch $@

$(VENV)/installed: pyproject.toml primus_lens_wandb_hook.pth src/primus_lens_wandb_startup/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable ".[local]" --group dev
	touch $@

clean:
	rm -rf $(VENV) $(DEMO_VENV) .nox dist sbom.cdx.json demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis wandb

# Two commands do all the set-up on a fresh Debian 12 machine: `make demo` and `make test`.
SHELL := /bin/bash -euo pipefail
PYTHON ?= python3
ROS_DISTRO ?= kilted
VENV := .venv
BIN := $(VENV)/bin
DEFINITIONS := $(wildcard msg/*.msg srv/*.srv interfaces/*/*/*) setup.py pyproject.toml package.xml moe_bev_ros/interfaces.py
INSTALLED := $(wildcard launch/* config/* config/*/*) $(wildcard moe_bev_ros/nodes/*.py)
# Of the extra "quantisation". nvidia-modelopt asks for setuptools>=80, with which colcon does not build ROS packages any more; it
# runs with the older one, so it is installed without its dependencies, and these beside it.
MODELOPT_NEEDS := huggingface-hub ninja nvidia-ml-py omegaconf packaging pulp pydantic regex requests rich

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all test-jazzy check format results bench-nodes clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(VENV)/.installed  ## make the virtual environment, compile the messages

$(VENV)/.python: constraints.txt constraints-$(ROS_DISTRO).txt pyproject.toml
	@bash .ci/preflight $(PYTHON)
	@echo '== 1/3 virtual environment'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo '== 2/3 packages (pinned; a few minutes the first time)'
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints-$(ROS_DISTRO).txt \
	  setuptools wheel numpy 'ros-rclpy[fastrtps]' ros-common-interfaces 2>&1 | bash .ci/progress
	@$(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation -c constraints-$(ROS_DISTRO).txt \
	  -e '.[dev,evaluation,torch,engines]' 2>&1 | bash .ci/progress
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints-$(ROS_DISTRO).txt $(MODELOPT_NEEDS)
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints-$(ROS_DISTRO).txt --no-deps nvidia-modelopt
	@touch $@

$(VENV)/.installed: $(VENV)/.python $(DEFINITIONS) $(INSTALLED)
	@echo '== 3/3 messages and package'
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-build-isolation --no-deps -e . 2>&1 | bash .ci/progress
	@touch $@

demo: $(VENV)/.installed  ## drive the simulated world in closed loop; report and video under out/demo
	$(BIN)/moe-bev demo --out out/demo

test: $(VENV)/.installed  ## the tests but the slow ones
	$(BIN)/python -m pytest -m 'not slow'

test-all: $(VENV)/.installed  ## every test, the long ones too
	$(BIN)/python -m pytest

test-jazzy:  ## the same tests, with the package built as a wheel on the Jazzy wheels
	@bash .ci/test-jazzy $(PYTHON)

check: $(VENV)/.installed  ## format, lint, types, import rules, package.xml, tables
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_package_xml.py
	$(BIN)/python .ci/readme_tables.py --check
	$(BIN)/moe-bev evaluate results --check

format: $(VENV)/.installed  ## let ruff mend, and write the README's tables
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python .ci/readme_tables.py

results: $(VENV)/.installed  ## write the tables of RESULTS.md from results/*.json
	$(BIN)/moe-bev evaluate results

bench-nodes: $(VENV)/.installed  ## ms per image and per 100,000 points against bare np.frombuffer
	$(BIN)/moe-bev bench nodes

clean:  ## remove everything that was built or installed here
	rm -rf $(VENV) $(VENV)-jazzy .rosidl build dist out *.egg-info moe_bev_ros/*.so
	find moe_bev_ros test -name __pycache__ -prune -exec rm -rf {} +  # numba's caches too

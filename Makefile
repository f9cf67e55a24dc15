# make demo: set up, then run the shipped network at every level of the ladder.
# make test: set up, then check style, types and behaviour.
PYTHON ?= python3.11
VENV := .venv
BOARD := .venv-board
RUN := $(VENV)/bin
# Threads that spin while they wait halve the speed of a shared machine.
export OMP_WAIT_POLICY ?= PASSIVE

ROOMS := cli energy host hw ladder model quantize report

.PHONY: help setup setup-board demo report accelerator test test-fast lint types bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## make .venv: training, quantisation, tests
setup-board: $(BOARD)/.ready ## make .venv-board: what runs on a PYNQ board

$(VENV)/.ready: pyproject.toml constraints/build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints/build.txt -e '.[train,clip,build,report,bench,meter,camera,dev]'
	touch $@

$(BOARD)/.ready: pyproject.toml constraints/board.txt
	$(PYTHON) -m venv $(BOARD)
	$(BOARD)/bin/pip install --quiet --disable-pip-version-check -c constraints/board.txt -e '.[board]' pytest hypothesis
	touch $@

demo: setup ## run the shipped network at every level and compare them
	$(RUN)/spikeclip demo --out build/demo

test: setup setup-board lint types ## everything CI runs
	$(RUN)/pytest -n 2 --dist loadfile
	$(MAKE) accelerator
	$(BOARD)/bin/pytest tests/host tests/labels/test_labelset.py

report: setup ## accuracy, spikes, energies and hardware of the shipped networks as one page
	$(RUN)/spikeclip report

# The board's tests run its simulation behind the emulated board; the first classification compiles it.
accelerator: setup ## build the accelerator for a PYNQ-Z2 and classify ten images with its simulated RTL
	$(RUN)/spikeclip build --board pynq-z2 --preset tiny --fps 2500
	$(RUN)/spikeclip classify notebooks/images --backend rtl --build build/tiny-pynq-z2

test-fast: setup ## without the tests that take minutes
	$(RUN)/pytest -n 2 --dist loadfile -m 'not slow'

lint: setup
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

# mypy does not follow the import hook of an editable install, so it gets the rooms as a tree of links.
types: setup
	@mkdir -p build/types/spikeclip_fpga
	@for room in $(ROOMS); do ln -sfn $(CURDIR)/$$room build/types/spikeclip_fpga/$$room; done
	cd build/types && MYPYPATH=. $(CURDIR)/$(RUN)/mypy --config-file $(CURDIR)/pyproject.toml $(addprefix -p spikeclip_fpga.,$(ROOMS))

# What the host adds is measured where it runs, in the board's environment; FINN's packing beside it is in .venv.
bench: setup setup-board accelerator ## speeds, as ratios measured side by side, and what moves the energy estimate
	$(RUN)/python benchmarks/integer_runner.py
	$(RUN)/python benchmarks/training.py
	$(RUN)/python benchmarks/accelerator.py
	$(BOARD)/bin/python benchmarks/host_overhead.py --bundle bitstreams/tiny-w4-pynq-z2 --finn-python $(RUN)/python
	$(RUN)/python benchmarks/activity.py
	$(RUN)/python benchmarks/stimuli.py --build build/tiny-pynq-z2
	$(RUN)/pytest -q tests/quantize/test_base_preset.py

clean: ## remove what was built, keep the environments
	rm -rf build *.egg-info

# One command makes what it needs: `make demo`, `make test`. PYTHON and VENV may be set.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Seconds of `make fuzz`, shared out among its targets.
TIME ?= 600

# The environment of `make test-oldest`, and the tests that it runs.
VENV_OLDEST ?= $(VENV)-oldest
OLDEST := tests/test_dependencies.py tests/test_files.py tests/zoo tests/weights/test_layouts.py \
  tests/inference/test_video.py tests/inference/test_streams.py tests/cli/test_commands.py

.PHONY: help demo test docs package test-oldest test-app test-slow test-browser test-ray test-transformers test-watch served test-int8 test-nvdec test-gpu browser pictures fuzz lint format generate clean

help:
	@echo "make demo       set up and show a small trained model at work, offline, into demo/"
	@echo "make test       set up and run the tests (some ten minutes on 2 cores)"
	@echo "make test-oldest  quick tests with the oldest versions that are allowed, torch 2.6 among them"
	@echo "make test-browser  all pages in headless Chromium: clicks, phones, light and dark, axe-core"
	@echo "make test-ray   the example on Ray Data, on a cluster of two workers here"
	@echo "make test-app   the example app in headless Chromium"
	@echo "make test-transformers  pushed models in transformers: its own environment (6 GB)"
	@echo "make test-watch  live video: HTTP served by FFmpeg, RTSP by GStreamer, an hour of frames"
	@echo "make test-gpu   parity, training and backends on a GPU (about ten minutes)"
	@echo "make test-int8  eight bits: quantization by NNCF, and a true accuracy in it"
	@echo "make test-nvdec  torchcodec's frames against PyAV's, on the CPU (needs FFmpeg's libraries)"
	@echo "make test-slow  the slow tests: whole zoo exports, training, memory, browsers"
	@echo "make fuzz TIME=600  what reads strangers' bytes, for so many seconds, with atheris"
	@echo "make package    sdist and wheel, checked, installed in new environments and used there"
	@echo "make docs       the documentation as pages, into site/"
	@echo "make pictures   draw the pictures of docs/img anew"
	@echo "make lint       ruff and mypy"
	@echo "make format     let ruff rewrite the code"
	@echo "make generate   rewrite what is generated: JSON Schemas, the README's zoo table"
	@echo "make clean      remove the environment and caches"

$(BIN)/.demo: pyproject.toml
	@echo "making the environment $(VENV) (some minutes: torch is large)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[plot]'
	@touch $@

$(BIN)/.dev: pyproject.toml
	@echo "making the environment $(VENV) (some minutes: torch is large)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(BIN)/.demo
	@$(BIN)/python tools/demo.py

# Two processes with a thread each beat one with two: most tests wait for files and small models.
test: $(BIN)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

# The lower bounds of pyproject.toml are run, not guessed: uv takes the lowest of each.
$(VENV_OLDEST)/.ready: pyproject.toml
	@echo "making the environment $(VENV_OLDEST) (some minutes, 6 GB)"
	@test -x $(VENV_OLDEST)/bin/python || $(PYTHON) -m venv $(VENV_OLDEST)
	@$(VENV_OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(VENV_OLDEST)/bin/uv pip install --quiet --python $(VENV_OLDEST)/bin/python \
	  --resolution lowest-direct -e '.[dev]' 'torch==2.6.*'
	@touch $@

test-oldest: $(VENV_OLDEST)/.ready
	OMP_NUM_THREADS=1 $(VENV_OLDEST)/bin/python -m pytest $(OLDEST)

test-slow: $(BIN)/.dev browser
	$(BIN)/python -m pytest -m slow

# Pages that are read without a network search by a script that npm has (iframe-worker, MIT).
$(VENV)-docs/.ready: pyproject.toml
	@test -x $(VENV)-docs/bin/python || $(PYTHON) -m venv $(VENV)-docs
	@$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check \
	  'mkdocs-material>=9.5' 'mkdocstrings[python]>=0.27' ruff
	@npm install --silent --no-save --prefix $(VENV)-docs iframe-worker@1
	@touch $@

docs: $(VENV)-docs/.ready
	@NO_MKDOCS_2_WARNING=1 SHIM=$(VENV)-docs/node_modules/iframe-worker/shim/index.js \
	  $(VENV)-docs/bin/mkdocs build --quiet --clean
	@echo "open site/index.html"

# Each of the two is installed in an environment of its own, and used from an empty folder.
package:
	@test -x $(VENV)-package/bin/python || $(PYTHON) -m venv $(VENV)-package
	@$(VENV)-package/bin/python -m pip install --quiet --disable-pip-version-check build twine
	$(VENV)-package/bin/python tools/package.py

# All pages in headless Chromium, which is installed if it is not there (Debian, Ubuntu), and held
# against the rules of axe-core (MPL-2.0), which comes with a package and is not kept here.
test-browser: $(BIN)/.dev browser
	$(BIN)/python -m pytest -m slow tests/publish/test_site.py tests/pages

# Gradio pins versions of what others need too: an environment of its own.
test-app:
	command -v chromedriver || { apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; }
	@test -x $(VENV)-app/bin/python || $(PYTHON) -m venv $(VENV)-app
	@$(VENV)-app/bin/python -m pip install --quiet --disable-pip-version-check -e '.[app]' pytest selenium
	$(VENV)-app/bin/python -m pytest -m slow tests/examples --noconftest

# Live video, served by others, which are installed if they are not there (Debian, Ubuntu):
# FFmpeg's program, and GStreamer's RTSP server, which the system's Python runs.
test-watch: $(BIN)/.dev served
	$(BIN)/python -m pytest -m "slow or not slow" tests/inference/test_watching.py \
	  tests/inference/test_watching_served.py

served:
	command -v ffmpeg && /usr/bin/python3 tests/rtsp_server.py --check || { apt-get update && \
	  apt-get install -y --no-install-recommends ffmpeg python3-gi gir1.2-gst-rtsp-server-1.0 \
	  gstreamer1.0-plugins-base gstreamer1.0-plugins-good; }

pictures: $(BIN)/.dev
	$(BIN)/python tools/pictures.py
# What only a GPU shows; where there is none, they are skipped and say so.
test-gpu: $(BIN)/.dev
	$(BIN)/python -m pytest -m gpu -rs tests/gpu

# Eight bits: NNCF brings much that nothing else here needs.
test-int8: $(BIN)/.dev
	@test -x $(VENV)-int8/bin/python || $(PYTHON) -m venv $(VENV)-int8
	@$(VENV)-int8/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,int8]'
	OMP_NUM_THREADS=1 $(VENV)-int8/bin/python -m pytest -m 'slow or not slow' \
	  tests/engines/test_agreement.py tests/engines/test_int8.py tests/datasets/test_calibration.py

# torchcodec uses FFmpeg's shared libraries, which the system has to have.
test-nvdec:
	@test -x $(VENV)-nvdec/bin/python || $(PYTHON) -m venv $(VENV)-nvdec
	@$(VENV)-nvdec/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,nvdec]'
	OMP_NUM_THREADS=1 $(VENV)-nvdec/bin/python -m pytest -m slow tests/inference/test_device_frames.py

# Ray Data brings much that nothing else here needs: it has an environment of its own.
test-ray:
	@test -x $(VENV)-ray/bin/python || $(PYTHON) -m venv $(VENV)-ray
	@$(VENV)-ray/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,ray]'
	RAY_USAGE_STATS_ENABLED=0 $(VENV)-ray/bin/python -m pytest -m slow -k ray tests/runs

# transformers brings much that nothing else here needs: it has an environment of its own.
test-transformers: $(BIN)/.dev
	@test -x $(VENV)-transformers/bin/python || $(PYTHON) -m venv $(VENV)-transformers
	@$(VENV)-transformers/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,transformers]'
	OMP_NUM_THREADS=1 $(VENV)-transformers/bin/python -m pytest -m slow tests/publish/test_transformers.py

browser: $(BIN)/.dev
	command -v chromedriver || { apt-get update && apt-get install -y --no-install-recommends chromium chromium-driver; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check selenium axe-core-python

# An environment of its own: atheris is for this alone.
$(VENV)-fuzz/.ready: pyproject.toml
	@echo "making the environment $(VENV)-fuzz (some minutes: torch is large)"
	@test -x $(VENV)-fuzz/bin/python || $(PYTHON) -m venv $(VENV)-fuzz
	@$(VENV)-fuzz/bin/python -m pip install --quiet --disable-pip-version-check -e . atheris
	@touch $@

fuzz: $(VENV)-fuzz/.ready
	$(VENV)-fuzz/bin/python tools/fuzz.py $(TIME)

lint: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(BIN)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(BIN)/.dev
	$(BIN)/python tools/generate.py

clean:
	rm -rf $(VENV) $(VENV)-* dist site fuzz demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The developer's day. PYTHON is the interpreter of an environment with requirements-dev.txt.
PYTHON ?= python

.PHONY: all style types test test-all format bench run docs

all: style types test

style:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

test-all:
	$(PYTHON) -m pytest -m ""

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs:
	$(PYTHON) -m settings_page > docs/settings.md

bench:
	$(PYTHON) -m benchmarks.kokoro_streaming
	$(PYTHON) -m benchmarks.kokoro_decoder
	$(PYTHON) -m benchmarks.first_audio
	$(PYTHON) -m benchmarks.rivals
	$(PYTHON) -m benchmarks.kyutai_speech
	$(PYTHON) -m benchmarks.kyutai_hearing
	$(PYTHON) -m benchmarks.voxcpm
	$(PYTHON) -m benchmarks.page
	$(PYTHON) -m benchmarks.listening
	$(PYTHON) -m benchmarks.own_share
	$(PYTHON) -m benchmarks.words
	$(PYTHON) -m benchmarks.load
	$(PYTHON) -m benchmarks.kani
	$(PYTHON) -m benchmarks.kani_quality

run:
	$(PYTHON) start_websocket_server.py

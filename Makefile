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
	$(PYTHON) -m server.settings.document > docs/settings.md

bench:
	$(PYTHON) -m benchmarks.kokoro.streaming
	$(PYTHON) -m benchmarks.kokoro_decoder
	$(PYTHON) -m benchmarks.kokoro.first_audio
	$(PYTHON) -m benchmarks.kokoro.rivals
	$(PYTHON) -m benchmarks.protocols.kyutai_speech
	$(PYTHON) -m benchmarks.recognition.kyutai_socket
	$(PYTHON) -m benchmarks.protocols.voxcpm
	$(PYTHON) -m benchmarks.server.page
	$(PYTHON) -m benchmarks.recognition.streams
	$(PYTHON) -m benchmarks.server.own_share
	$(PYTHON) -m benchmarks.kokoro.words
	$(PYTHON) -m benchmarks.server.load
	$(PYTHON) -m benchmarks.kani
	$(PYTHON) -m benchmarks.kani.quality

run:
	$(PYTHON) start_websocket_server.py

"""The arrows of the design: which part may import which, and how large a folder and a room may be."""

import ast
import graphlib
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.running.sources import ROOT, files, module_of, modules_imported, source

FILES = list(files().values())
MOST_MODULES = 15

LINES = {
    "kani/books": 3_017,
    "kani/cli": 3_449,
    "kani/composition": 1_775,
    "kani/core": 17_362,
    "kani/engines": 24_837,
    "kani/library": 1_237,
    "kani/protocols": 24_140,
    "kani/ray": 713,
    "kani/runtime": 3_649,
    "kani/server": 5_388,
    "kani_text": 19_058,
    "tests": 85_300,
    "benchmarks": 9_233,
    "tools": 7_719,
}
"""Most lines of Python in each room, with 1 % of slack, so that a small change needs no line here. Who takes
lines away lowers it; it is raised only in a commit that says what a user gets for it."""

WEB = set("starlette uvicorn websockets httpx2 httpcore2 aiohttp fastapi socket http urllib".split())
MODELS = {"torch", "transformers", "onnxruntime", "onnx"}

CONTRACT = {
    f"kani.core.{name}"
    for name in (
        *("types", "errors", "engine", "recognizer", "transcriber", "observer", "request", "request_ids"),
        *("emotions", "recent", "tracing", "chat_model"),
    )
}
"""What protocols, engines and the rooms of kani/core/ speak about."""

PLUGIN = {f"kani.engines.{name}" for name in ("plugin", "plugin_settings", "known_voices")}
"""What an engine describes itself by."""

BELOW_ENGINES = {"kani.runtime", "kani.core", "kani_text"}

GROUPS = {"PLUGIN": PLUGIN, "BELOW_ENGINES": BELOW_ENGINES, "CONTRACT": CONTRACT}
TABLE = """
websocket_config.py:
websocket_client.py: websocket_config
websocket_server.py: kani.composition.speech_service kani.server.app
start_websocket_server.py:
test_websocket.py:
tools: tools kani kani_text
# It measures as the benchmarks do, models with the random weights that the tests make.
tools/gpu: benchmarks kani tests.engines tests.judges tools
kani/__init__.py: kani.core kani.library kani.no_telemetry
kani/no_telemetry.py:
kani/__main__.py: kani.cli.main
kani/library: kani.library kani.composition kani.core kani.runtime.cancelling kani_text.languages
    kani_text.writing
kani/books: kani.books kani.core kani_text.boundaries kani_text.dialogue kani_text.foreign
    kani_text.language_detection kani_text.markup kani_text.writing
kani/cli: kani.cli websocket_client websocket_config
kani/cli/prerequisites.py: kani.runtime.extras
kani/cli/parser.py: kani.books.book kani.cli kani_text.errors kani_text.languages
kani/cli/mcp: kani.cli kani.composition.settings kani.core kani.library kani.protocols.shared.protocol
    kani.runtime.cancelling kani.runtime.extras kani.runtime.host_names kani.server
    kani_text.foreign kani_text.languages websocket_config
kani/cli/speech_commands.py: kani kani.cli kani_text
kani/cli/audiobook.py: kani.books kani.cli kani.library kani.server.allocator kani_text websocket_config
kani/cli/banner.py: kani.cli.programs kani.core kani.runtime.host_names kani.server websocket_config
kani/cli/serve.py: kani.cli kani.composition kani.core kani.engines kani.runtime.host_names kani.server
    websocket_config
kani/cli/server_options.py: kani.cli kani.composition.settings websocket_config
kani/server: kani.server kani.composition kani.core kani.protocols.shared.calls
    kani.protocols.shared.protocol kani.runtime.child_process kani.runtime.extras kani.runtime.host_names
    kani_text websocket_config
kani/composition: kani.composition kani.core kani.engines kani.runtime kani_text
kani/composition/settings: kani.composition.settings kani.core.errors kani.engines.plugin
    kani.engines.plugin_settings kani.protocols.shared.plugin kani.runtime.host_names kani_text.foreign
    kani_text.languages websocket_config
kani/server/fronts: kani.composition kani.core kani.engines.pool_metrics kani.engines.registry kani.server
kani/server/app.py: kani.composition kani.core kani.protocols.shared kani.runtime.host_names kani.server
    websocket_config
# A setting is defined alike for engines and protocols.
kani/protocols: kani.protocols kani.core kani.engines.plugin_settings kani_text
kani/protocols/voxcpm: kani.core kani.engines.plugin_settings kani.protocols kani.runtime.bounded_http
    kani_text
kani/protocols/openai/realtime/mcp_client.py: kani.core kani.protocols kani.runtime.bounded_http kani_text
kani/protocols/openai/realtime/webrtc: kani.core kani.protocols kani.runtime.extras
kani/protocols/books_api: kani.books kani.core kani.engines.plugin_settings kani.protocols
    kani.runtime.child_process kani_text.dialogue kani_text.foreign kani_text.languages
kani/engines: kani.core kani_text PLUGIN
kani/engines/registry.py: kani.engines.remote.processes kani.engines.pool_metrics PLUGIN CONTRACT
kani/engines/remote: kani.engines.remote kani.engines.pool_metrics PLUGIN BELOW_ENGINES
kani/engines/worker: kani.engines.worker kani.engines.packages kani.engines.registry kani.engines.remote
    BELOW_ENGINES
kani/engines/packages: kani.engines.packages PLUGIN BELOW_ENGINES
kani/engines/chat: kani.engines.chat PLUGIN BELOW_ENGINES
kani/engines/espeak: kani.engines.espeak PLUGIN BELOW_ENGINES
kani/engines/kani: kani.engines.kani PLUGIN BELOW_ENGINES
kani/engines/upstream: kani.engines.upstream PLUGIN BELOW_ENGINES
kani/engines/whisper: kani.engines.whisper PLUGIN BELOW_ENGINES
kani/engines/elevenlabs: kani.engines.elevenlabs kani.engines.upstream PLUGIN BELOW_ENGINES
kani/engines/openai: kani.engines.openai kani.engines.upstream PLUGIN BELOW_ENGINES
kani/engines/kyutai: kani.engines.kyutai kani.engines.packages PLUGIN BELOW_ENGINES
kani/engines/pocket: kani.engines.pocket kani.engines.packages PLUGIN BELOW_ENGINES
kani/engines/transcribe: kani.engines.transcribe kani.engines.packages PLUGIN BELOW_ENGINES
kani/engines/voxcpm: kani.engines.voxcpm kani.engines.packages PLUGIN BELOW_ENGINES
kani/engines/kokoro: kani.engines.kokoro kani.engines.espeak.client PLUGIN BELOW_ENGINES
kani/runtime: kani.runtime kani.core kani_text
kani/ray: kani.ray kani.composition kani.core kani.engines kani.runtime kani.server
kani_text: kani_text
kani/core: kani.core kani_text
kani/core/audio: kani.core.audio kani.core.errors kani.core.types
kani/core/subtitles: kani.core.subtitles kani_text CONTRACT
kani/core/timing: kani.core.timing kani.core.audio kani_text CONTRACT
kani/core/turns: kani.core.turns kani.core.audio kani_text CONTRACT
kani/core/diarization: kani.core.diarization kani.core.audio kani.core.turns kani_text.writing CONTRACT
kani/core/voices: kani.core.voices kani.core.audio kani.core.timing kani_text CONTRACT
kani/core/session: kani.core.session kani.core.audio kani.core.diarization kani.core.timing kani.core.turns
    kani.core.shared_numbers kani.core.voices kani_text CONTRACT
kani/core/conversation: kani.core.conversation kani.core.audio kani.core.service kani.core.session
    kani.core.turns kani_text
    CONTRACT
kani/core/late_engine: kani.core.audio kani_text CONTRACT
"""
"""Places, and the modules, packages and groups of this repository that each may import."""

ALLOWED = {
    **{f"{name.replace('.', '/')}.py": {"kani_text", *CONTRACT} for name in sorted(CONTRACT)},
    **{
        place: set().union(*(GROUPS.get(word, {word}) for word in names.split()))
        for place, _, names in (
            row.partition(":") for row in re.sub("#.*|\n    ", " ", TABLE).split("\n") if row.strip()
        )
    },
}


def files_of(place: str) -> list[Path]:
    """The modules of a folder, or the module itself."""
    path = ROOT / place
    return [file for file in FILES if path == file or path in file.parents]


def is_within(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("place", ALLOWED)
def test_imports_follow_the_arrows(place: str) -> None:
    assert files_of(place)
    # A more special entry replaces that of its folder.
    special = {file for other in ALLOWED if other.startswith(f"{place}/") for file in files_of(other)}
    for path in (file for file in files_of(place) if file not in special):
        own = {name for name in source(path).imports if module_of(name)}
        forbidden = {name for name in own if not is_within(name, ALLOWED[place])}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_core_imports_no_socket_and_no_model() -> None:
    for path in [*files_of("kani/core"), *files_of("kani_text")]:
        forbidden = {name for name in source(path).imports if is_within(name, WEB | MODELS)}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_protocol_imports_no_model_and_no_other_protocol() -> None:
    for path in files_of("kani/protocols"):
        own = path.relative_to(ROOT / "kani" / "protocols").parts[0].removesuffix(".py")
        for name in source(path).imports:
            assert not is_within(name, MODELS)
            if is_within(name, {"kani.protocols"}):
                allowed = {f"kani.protocols.{own}", "kani.protocols.shared"}
                assert is_within(name, allowed), f"{path.relative_to(ROOT)} imports {name}"


def test_client_can_be_copied_into_an_assistant() -> None:
    allowed = set(sys.stdlib_module_names) | {"websockets", "websocket_config"}
    assert all(is_within(name, allowed) for name in source(ROOT / "websocket_client.py").imports)
    stdlib = set(sys.stdlib_module_names)
    assert all(is_within(name, stdlib) for name in source(ROOT / "websocket_config.py").imports)


@pytest.mark.parametrize("room", ["kani", "kani_text"])
def test_no_constant_is_set_twice(room: str) -> None:
    """The second of two that met in one module would be read in both places; ruff sees only functions."""
    for path in files_of(room):
        body = ast.parse(path.read_text("utf-8")).body
        stored = [
            node.id
            for each in body
            if isinstance(each, ast.Assign)
            for target in each.targets
            for node in ast.walk(target)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        assert len(stored) == len({*stored}), path


def test_no_circle_among_files() -> None:
    graph = {module: modules_imported(path) - {module} for module, path in files().items()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("room", LINES)
def test_room_keeps_to_its_lines(room: str) -> None:
    assert sum(source(path).lines for path in files_of(room)) <= LINES[room] * 1.01


def test_product_keeps_to_its_lines() -> None:
    """What one room takes of its slack, another has given."""
    rooms = [room for room in LINES if room.startswith("kani")]
    assert sum(source(path).lines for room in rooms for path in files_of(room)) <= sum(map(LINES.get, rooms))


def test_every_room_has_a_budget() -> None:
    folders = {path.parent for path in FILES if (ROOT / "kani") in path.parents} - {ROOT / "kani"}
    rooms = {"/".join(folder.relative_to(ROOT).parts[:2]) for folder in folders}
    assert rooms | {"kani_text", "tests", "benchmarks", "tools"} == LINES.keys()


def test_no_folder_of_tests_is_a_package() -> None:
    """pytest would import it by its own name, and hide the library of that name, such as elevenlabs."""
    packages = {path.parent for path in (ROOT / "tests").rglob("__init__.py")}
    assert not [path for path in packages if any(path.glob("test_*.py"))]


def test_no_folder_is_large() -> None:
    sizes = Counter(path.parent for path in FILES if path.stem not in ("__init__", "conftest"))
    large = {str(folder.relative_to(ROOT)): size for folder, size in sizes.items() if size > MOST_MODULES}
    assert not large

"""Files of the other tiers that ``.ci/run`` runs; ``python -m tests.running.smoke`` prints their paths."""

SMOKE = tuple(
    f"{name}.py"
    for name in """
    cli/test_check clients/openai/test_python deploy/test_site engines/espeak/test_faults
    engines/kokoro/test_engine engines/kokoro/student/test_speech engines/whisper/test_recordings
    library/test_library page/talk/test_page_conversation page/test_firefox page/test_page_listening
    page/test_page_panels protocols/elevenlabs/relay/test_example protocols/kani/test_websocket
    protocols/kyutai/test_speech_in protocols/kyutai/test_speech_out protocols/test_ssml
    server/lifecycle/test_lifecycle server/network/test_tls server/test_server test_package test_privacy
    """.split()
)
"""All tests of them, but for those marked ``full``: each protocol, engine and program speaks and is heard.
Single tests of other files have the mark ``smoke``.
"""

if __name__ == "__main__":
    print(*(f"tests/{name}" for name in SMOKE), sep="\n")

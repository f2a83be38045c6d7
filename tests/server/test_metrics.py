"""Metrics as Prometheus reads them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.server.metrics import Metrics


def read(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, by its name and its labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


KANI = (("protocol", "kani"),)
KANI_BY_ESPEAK = (("engine", "espeak"), ("protocol", "kani"))


def test_a_session_from_start_to_end() -> None:
    metrics = Metrics("1.2.3")
    metrics.session_opened("kani")
    metrics.first_audio("kani", "espeak", 0.02)
    metrics.segment_synthesized("kani", "espeak", 0.5, 2.25)
    open_now = read(metrics)
    metrics.session_closed("kani")
    after = read(metrics)
    assert open_now["kani_sessions", KANI] == 1 and after["kani_sessions", KANI] == 0
    assert after["kani_requests_total", KANI] == 1
    assert after["kani_first_audio_seconds_count", KANI_BY_ESPEAK] == 1
    assert after["kani_first_audio_seconds_bucket", (*KANI_BY_ESPEAK[:1], ("le", "0.025"), *KANI)] == 1
    assert after["kani_first_audio_seconds_bucket", (*KANI_BY_ESPEAK[:1], ("le", "0.01"), *KANI)] == 0
    assert after["kani_synthesis_seconds_sum", KANI_BY_ESPEAK] == pytest.approx(0.5)
    assert after["kani_speech_seconds_total", KANI_BY_ESPEAK] == pytest.approx(2.25)
    assert after["kani_build_info", (("version", "1.2.3"),)] == 1


def test_failures_are_counted_by_kind() -> None:
    metrics = Metrics("0")
    metrics.session_cancelled("kani")
    metrics.session_refused("kani", "queue")
    metrics.session_refused("kani", "queue")
    metrics.engine_failed("kani", "espeak")
    samples = read(metrics)
    assert samples["kani_cancellations_total", KANI] == 1
    assert samples["kani_refusals_total", (*KANI, ("reason", "queue"))] == 2
    assert samples["kani_engine_failures_total", KANI_BY_ESPEAK] == 1
    assert metrics.totals() == {"requests": 0, "cancellations": 1, "refusals": 2, "failures": 1}


def test_gauges_show_the_last_number() -> None:
    metrics = Metrics("0")
    metrics.waiting_changed(3)
    metrics.waiting_changed(1)
    metrics.slots_in_use_changed(2)
    metrics.set_connections(5)
    samples = read(metrics)
    assert [samples[f"kani_{name}", ()] for name in ("waiting", "slots_in_use", "connections")] == [1, 2, 5]


def test_ended_sessions_are_counted_by_outcome() -> None:
    metrics = Metrics("0")
    metrics.synthesis_ended("kani", "completed", 0.3, 40)
    metrics.synthesis_ended("kani", "cancelled", 12.0, 2)
    samples = read(metrics)
    completed = (("outcome", "completed"), ("protocol", "kani"))
    cancelled = (("outcome", "cancelled"), ("protocol", "kani"))
    assert samples["kani_session_seconds_count", completed] == 1
    assert samples["kani_session_seconds_bucket", (("le", "0.5"), *completed)] == 1
    assert samples["kani_session_seconds_bucket", (("le", "0.25"), *completed)] == 0
    assert samples["kani_session_seconds_sum", cancelled] == 12
    assert samples["kani_text_characters_total", KANI] == 42


def test_queue_is_measured_with_its_limits() -> None:
    metrics = Metrics("0")
    places = 8
    metrics.engine_ready("espeak", lambda: places)
    metrics.set_limits(connections=4096, waiting=1000)
    metrics.slot_acquired("kani", "espeak", 0.0)
    metrics.slot_acquired("kani", "espeak", 0.2)
    samples = read(metrics)
    assert samples["kani_slots", (("engine", "espeak"),)] == 8
    places = 20
    assert read(metrics)["kani_slots", (("engine", "espeak"),)] == 20
    assert (samples["kani_connections_limit", ()], samples["kani_waiting_limit", ()]) == (4096, 1000)
    assert samples["kani_queue_seconds_bucket", (*KANI_BY_ESPEAK[:1], ("le", "0.001"), *KANI)] == 1
    assert samples["kani_queue_seconds_count", KANI_BY_ESPEAK] == 2


def test_listening_is_counted_in_sessions_and_seconds() -> None:
    metrics = Metrics("0")
    metrics.recognition_opened("kyutai")
    metrics.audio_recognized("kyutai", 0.08, 0.2)
    metrics.audio_recognized("kyutai", 0.08, 0.0)
    open_now = read(metrics)
    metrics.recognition_closed("kyutai")
    kyutai = (("protocol", "kyutai"),)
    assert (
        open_now["kani_recognition_sessions", kyutai] == 1
        and read(metrics)["kani_recognition_sessions", kyutai] == 0
    )
    assert open_now["kani_recognized_seconds_total", kyutai] == pytest.approx(0.16)
    assert open_now["kani_recognition_lag_seconds_bucket", (("le", "0.08"), *kyutai)] == 1
    assert open_now["kani_recognition_lag_seconds_sum", kyutai] == pytest.approx(0.2)


def test_failure_counters_start_at_zero() -> None:
    metrics = Metrics("0")
    metrics.engine_ready("espeak", lambda: 8)
    metrics.session_opened("kani")
    samples = read(metrics)
    assert samples["kani_engine_failures_total", KANI_BY_ESPEAK] == 0
    for reason in ("sessions", "queue", "rate", "draining"):
        assert samples["kani_refusals_total", (*KANI, ("reason", reason))] == 0


def test_ready_is_asked_at_each_scrape() -> None:
    metrics, state = Metrics("0"), [False]
    assert read(metrics)["kani_ready", ()] == 0
    metrics.watch_ready(lambda: state[0])
    before = read(metrics)["kani_ready", ()]
    state[0] = True
    assert (before, read(metrics)["kani_ready", ()]) == (0, 1)


def test_names_follow_prometheus_conventions() -> None:
    families = list(text_string_to_metric_families(Metrics("0").text().decode()))
    for family in families:
        assert family.documentation, family.name
        assert family.name.startswith(("kani_", "process_", "python_")), family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_kb", "_count", "_sum", "_created"))
        if family.type == "histogram":
            assert family.name.endswith("_seconds"), family.name
    own = [family for family in families if family.name.startswith("kani_") and family.type == "counter"]
    assert all(sample.name.endswith("_total") for family in own for sample in family.samples)


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics("0"), Metrics("0")
    one.session_opened("kani")
    assert other.totals()["requests"] == 0


ALL = (("handler", "all"),)


def test_speech_for_kyutais_clients_is_counted_by_its_own_names() -> None:
    metrics = Metrics("0")
    meter = KyutaiMetrics(metrics.registry)
    meter.speech_opened()
    meter.speech_opened()
    meter.frames_spoken(10, 0.13)
    meter.frames_spoken(2, 0.2)
    meter.frames_spoken(0, 0.1)
    meter.missing_words.inc()
    meter.speech_closed(12)
    samples = read(metrics)
    assert samples["py_connect", ALL] == 2 and samples["py_open_channels", ALL] == 1
    for name in ("py_total_steps", "py_active_steps", "py_could_have_run_steps"):
        assert samples[name, ALL] == 12
    assert samples["py_missing_words_steps", ALL] == 1
    assert samples["py_model_step_duration_bucket", (("le", "0.01"),)] == 0
    assert samples["py_model_step_duration_bucket", (("le", "0.015"),)] == 10
    assert samples["py_model_step_duration_bucket", (("le", "0.08"),)] == 10
    assert samples["py_model_step_duration_count", ()] == 12
    assert samples["py_model_step_duration_sum", ()] == pytest.approx(0.33)
    assert samples["py_model_connection_num_steps_bucket", (("le", "2.0"),)] == 0
    assert samples["py_model_connection_num_steps_bucket", (("le", "25.0"),)] == 1


def test_listening_to_kyutais_clients_is_counted_by_its_own_names() -> None:
    metrics = Metrics("0")
    meter = KyutaiMetrics(metrics.registry)
    meter.recognition_opened()
    meter.recognition_step.observe(0.025)
    meter.recognition_closed(125)
    meter.voice_embedded(0.07)
    samples = read(metrics)
    assert samples["asr_connect", ALL] == 1 and samples["asr_open_channels", ALL] == 0
    assert samples["asr_model_step_duration_bucket", (("le", "0.02"),)] == 0
    assert samples["asr_model_step_duration_bucket", (("le", "0.03"),)] == 1
    assert samples["asr_connection_num_steps_bucket", (("le", "25.0"),)] == 0
    assert samples["asr_connection_num_steps_bucket", (("le", "125.0"),)] == 1
    assert samples["py_post_connect", ALL] == 1
    assert samples["py_post_model_duration_bucket", (("le", "0.06"),)] == 0
    assert samples["py_post_model_duration_bucket", (("le", "0.07"),)] == 1


def test_kyutais_histograms_have_its_bounds() -> None:
    metrics = Metrics("0")
    KyutaiMetrics(metrics.registry)

    def bounds(name: str) -> list[float]:
        return [float(dict(labels)["le"]) for sample, labels in read(metrics) if sample == f"{name}_bucket"]

    inf = float("inf")
    heard = [0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, inf]
    assert bounds("py_model_step_duration") == [0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.08, inf]
    assert bounds("py_model_connection_num_steps") == [2, 25, 62.5, 125, 250, 500, 750, inf]
    assert bounds("asr_model_step_duration") == bounds("py_post_model_duration") == heard
    steps = [2, 25, 125, 250, 500, 750, 1125, 1500, 2250, 3000, 4500, inf]
    assert bounds("asr_connection_num_steps") == steps

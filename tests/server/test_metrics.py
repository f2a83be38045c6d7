"""Metrics as Prometheus reads them."""

import re

from prometheus_client.parser import text_string_to_metric_families

from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.server.metrics import Metrics


def assert_shown(metrics: Metrics, samples: str) -> None:
    shown = metrics.text().decode().splitlines()
    assert [line for line in samples.split("\n") if line.strip() not in shown] == []


def test_a_session_from_start_to_end() -> None:
    metrics, other = Metrics("1.2.3"), Metrics("0")
    places = 8
    metrics.engine_ready("espeak", lambda: places)
    metrics.set_limits(connections=4096, waiting=1000)
    metrics.session_opened("kani")
    # Failure counters start at zero.
    reasons = ("sessions", "queue", "rate", "draining")
    refusals = "\n".join(
        f'kani_refusals_total{{protocol="kani",reason="{reason}"}} 0.0' for reason in reasons
    )
    assert_shown(metrics, refusals)
    assert_shown(
        metrics,
        """kani_sessions{protocol="kani"} 1.0
        kani_engine_failures_total{engine="espeak",protocol="kani"} 0.0
        kani_slots{engine="espeak"} 8.0
        kani_connections_limit 4096.0
        kani_waiting_limit 1000.0
        kani_build_info{version="1.2.3"} 1.0""",
    )
    for queued_s in (0.0, 0.2):
        metrics.slot_acquired("kani", "espeak", queued_s)
    metrics.first_audio("kani", "espeak", 0.02)
    metrics.segment_synthesized("kani", "espeak", 0.5, 2.25)
    metrics.session_closed("kani")
    metrics.synthesis_ended("kani", "completed", 0.3, 40)
    metrics.synthesis_ended("kani", "cancelled", 12.0, 2)
    metrics.session_cancelled("kani")
    for _ in range(2):
        metrics.session_refused("kani", "queue")
    metrics.engine_failed("kani", "espeak")
    metrics.watch_slots(lambda: 1, lambda: 2)
    metrics.connections.set(5)
    places = 20
    assert_shown(
        metrics,
        """kani_sessions{protocol="kani"} 0.0
        kani_requests_total{protocol="kani"} 1.0
        kani_first_audio_seconds_count{engine="espeak",protocol="kani"} 1.0
        kani_first_audio_seconds_bucket{engine="espeak",le="0.025",protocol="kani"} 1.0
        kani_first_audio_seconds_bucket{engine="espeak",le="0.01",protocol="kani"} 0.0
        kani_synthesis_seconds_sum{engine="espeak",protocol="kani"} 0.5
        kani_speech_seconds_total{engine="espeak",protocol="kani"} 2.25
        kani_session_seconds_count{outcome="completed",protocol="kani"} 1.0
        kani_session_seconds_bucket{le="0.5",outcome="completed",protocol="kani"} 1.0
        kani_session_seconds_bucket{le="0.25",outcome="completed",protocol="kani"} 0.0
        kani_session_seconds_sum{outcome="cancelled",protocol="kani"} 12.0
        kani_text_characters_total{protocol="kani"} 42.0
        kani_cancellations_total{protocol="kani"} 1.0
        kani_refusals_total{protocol="kani",reason="queue"} 2.0
        kani_engine_failures_total{engine="espeak",protocol="kani"} 1.0
        kani_slots{engine="espeak"} 20.0
        kani_queue_seconds_bucket{engine="espeak",le="0.001",protocol="kani"} 1.0
        kani_queue_seconds_count{engine="espeak",protocol="kani"} 2.0
        kani_waiting 1.0
        kani_slots_in_use 2.0
        kani_connections 5.0""",
    )
    assert metrics.totals() == {"requests": 1, "cancellations": 1, "refusals": 2, "failures": 1}
    assert not any(other.totals().values())


def test_listening_is_counted_in_sessions_and_seconds() -> None:
    metrics = Metrics("0")
    metrics.recognition_opened("kyutai")
    for lag_s in (0.2, 0.0):
        metrics.audio_recognized("kyutai", 0.08, lag_s)
    assert_shown(
        metrics,
        """kani_recognition_sessions{protocol="kyutai"} 1.0
        kani_recognized_seconds_total{protocol="kyutai"} 0.16
        kani_recognition_lag_seconds_bucket{le="0.08",protocol="kyutai"} 1.0
        kani_recognition_lag_seconds_sum{protocol="kyutai"} 0.2""",
    )
    metrics.recognition_closed("kyutai")
    assert_shown(metrics, 'kani_recognition_sessions{protocol="kyutai"} 0.0')


def test_ready_is_asked_at_each_scrape() -> None:
    metrics, state = Metrics("0"), [False]
    assert_shown(metrics, "kani_ready 0.0")
    metrics.ready.set_function(lambda: state[0])
    assert_shown(metrics, "kani_ready 0.0")
    state[0] = True
    assert_shown(metrics, "kani_ready 1.0")


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


def test_kyutais_clients_are_counted_by_its_own_names() -> None:
    metrics = Metrics("0")
    meter = KyutaiMetrics(metrics.registry)
    for _ in range(2):
        meter.speech_opened()
    for frames, seconds in ((10, 0.13), (2, 0.2), (0, 0.1)):
        meter.frames_spoken(frames, seconds)
    meter.missing_words.inc()
    meter.speech_closed(12)
    meter.recognition_opened()
    meter.recognition_step.observe(0.025)
    meter.recognition_closed(125)
    meter.voice_embedded(0.07)
    assert_shown(
        metrics,
        """py_connect{handler="all"} 2.0
        py_open_channels{handler="all"} 1.0
        py_total_steps{handler="all"} 12.0
        py_active_steps{handler="all"} 12.0
        py_could_have_run_steps{handler="all"} 12.0
        py_missing_words_steps{handler="all"} 1.0
        py_model_step_duration_bucket{le="0.015"} 10.0
        py_model_step_duration_count 12.0
        py_model_step_duration_sum 0.33
        py_model_connection_num_steps_sum 12.0
        asr_connect{handler="all"} 1.0
        asr_open_channels{handler="all"} 0.0
        asr_model_step_duration_sum 0.025
        asr_connection_num_steps_sum 125.0
        py_post_connect{handler="all"} 1.0
        py_post_model_duration_sum 0.07""",
    )


def test_kyutais_histograms_have_its_bounds() -> None:
    metrics = Metrics("0")
    KyutaiMetrics(metrics.registry)

    def bounds(name: str) -> list[float]:
        found = re.findall(rf'^{name}_bucket{{le="(.+)"}}', metrics.text().decode(), re.MULTILINE)
        return [float(bound) for bound in found]

    inf = float("inf")
    heard = [0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, inf]
    assert bounds("py_model_step_duration") == [0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.08, inf]
    assert bounds("py_model_connection_num_steps") == [2, 25, 62.5, 125, 250, 500, 750, inf]
    assert bounds("asr_model_step_duration") == bounds("py_post_model_duration") == heard
    steps = [2, 25, 125, 250, 500, 750, 1125, 1500, 2250, 3000, 4500, inf]
    assert bounds("asr_connection_num_steps") == steps

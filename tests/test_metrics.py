"""What Prometheus gets to read."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kyutai_metrics import KyutaiMetrics
from metrics import Metrics


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
    """A session is counted once, is open while it is, and its times land in the histograms."""
    metrics = Metrics("1.2.3")
    metrics.session_opened("kani")
    metrics.first_audio("kani", "espeak", 0.02)
    metrics.segment_spoken("kani", "espeak", 0.5, 2.25)
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


def test_what_goes_wrong_is_counted_by_kind() -> None:
    """Cancellations, refusals and failures each have their own counter, and all add up in the totals."""
    metrics = Metrics("0")
    metrics.cancelled("kani")
    metrics.refused("kani", "queue")
    metrics.refused("kani", "queue")
    metrics.failed("kani", "espeak")
    samples = read(metrics)
    assert samples["kani_cancellations_total", KANI] == 1
    assert samples["kani_refusals_total", (*KANI, ("reason", "queue"))] == 2
    assert samples["kani_engine_failures_total", KANI_BY_ESPEAK] == 1
    assert metrics.totals() == {"requests": 0, "cancellations": 1, "refusals": 2, "failures": 1}


def test_gauges_show_the_last_number() -> None:
    """Waiting, speaking and connected are numbers of now."""
    metrics = Metrics("0")
    metrics.waiting(3)
    metrics.waiting(1)
    metrics.speaking(2)
    metrics.connections(5)
    samples = read(metrics)
    assert (samples["kani_waiting", ()], samples["kani_speaking", ()], samples["kani_connections", ()]) == (
        1,
        2,
        5,
    )


def test_two_servers_in_one_process_count_apart() -> None:
    """Each server has a registry of its own."""
    one, other = Metrics("0"), Metrics("0")
    one.session_opened("kani")
    assert other.totals()["requests"] == 0


ALL = (("handler", "all"),)


def test_speech_for_kyutais_clients_is_counted_by_its_own_names() -> None:
    """A connection that hears speech: what Kyutai's dashboards ask for, without a suffix, for "all"."""
    metrics = Metrics("0")
    meter = KyutaiMetrics(metrics.registry)
    meter.speaking_opened()
    meter.speaking_opened()
    meter.spoke(10, 0.13)
    meter.spoke(2, 0.2)
    meter.spoke(0, 0.1)
    meter.waited_for_words()
    meter.speaking_closed(12)
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
    """A connection that is heard, and a recording that becomes a voice."""
    metrics = Metrics("0")
    meter = KyutaiMetrics(metrics.registry)
    meter.listening_opened()
    meter.listened(0.025)
    meter.listening_closed(125)
    meter.voice_made(0.07)
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
    """A dashboard's quantiles are only those of the original with the original's buckets."""
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

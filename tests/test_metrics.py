"""What Prometheus gets to read."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

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

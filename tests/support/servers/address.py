"""Addresses of the tests' servers, and what is asked there."""

from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

NAMES = ("", "REST_", "KYUTAI_", "RELAY_", "VOXCPM_", "WYOMING_")
FREE_PORTS = {f"KANI_{name}PORT": "0" for name in NAMES} | {"KANI_COMPAT": "false"}
"""Settings of a server on free ports."""


def figure(scraped: str, name: str, **labels: str) -> float:
    """A figure of /metrics, summed over the labels that are not given."""
    samples = (sample for family in text_string_to_metric_families(scraped) for sample in family.samples)
    return sum(
        sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()
    )


class Addressed:
    """A server on a port of this machine."""

    host = "localhost"
    port: int

    @property
    def url(self) -> str:
        """The WebSocket's address, without a path."""
        return f"ws://{self.host}:{self.port}"

    @property
    def http_url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def request(self, method: str, path: str, **how: Any) -> httpx2.Response:
        async with httpx2.AsyncClient(base_url=self.http_url) as client:
            return await client.request(method, path, **how)

    async def get(self, path: str, **how: Any) -> httpx2.Response:
        return await self.request("GET", path, **how)

    async def post(self, path: str, **how: Any) -> httpx2.Response:
        return await self.request("POST", path, **how)

    async def figure(self, name: str, **labels: str) -> float:
        return figure((await self.get("/metrics")).text, name, **labels)

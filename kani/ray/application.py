"""The Ray Serve application: deployments of engine replicas, of recogniser replicas, and of fronts."""

import hashlib
import logging
import os
import secrets
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.exceptions import RayServeException

from kani.ray.environment import of_fronts, of_replicas
from kani.ray.front import Front
from kani.ray.replica import EngineReplica, RecognizerReplica
from kani.ray.scaling import ByUtterances
from kani.runtime.extras import FOLDER, INSTALLED
from kani.server.lifecycle import CLOSE_SECONDS, STOP_SECONDS

NAME, ENGINES, RECOGNIZERS, FRONTS = "kani-tts", "engines", "recognizers", "fronts"
"""Names of the application and of its deployments."""

log = logging.getLogger(__name__)

START_ATTEMPTS = 5

PACKAGES = "kani", "kani_text"
"""The folder of the modules that the actors import."""

CHECK_S, HUNG_S = 1.0, 15.0
"""Seconds between two health checks, and those after which a replica that does not answer is replaced."""

LOCAL_CPUS = 1024
"""Cores that a cluster of one machine counts: actors share those that there are, and none waits for one."""

LOOK_BACK_S = 5.0
"""Seconds over which the load is averaged."""


def _option(name: str, default: Any, about: str, metavar: str | None = None) -> Any:
    """Return a field of a plan that an option of ``up`` sets; about and metavar: for its help."""
    kind = {"action": "store_true"} if default is False else {"type": type(default), "metavar": metavar}
    return field(
        default=default, metadata={"option": name, "parsing": {"help": about, "default": default} | kind}
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """The shape of an application; recognizers: replicas. Without any, each front recognises by itself.

    The number of replicas is fixed, unless ``max_replicas`` is more. Another number has to be needed for the
    seconds of ``upscale_s`` and ``downscale_s``.
    """

    engine: str
    replicas: int = _option("--replicas", 1, "engine replicas (default 1)", "N")
    max_replicas: int = _option("--max-replicas", 0, "scale up to N with the utterances", "N")
    fronts: int = _option("--fronts", 1, "servers (default 1)", "N")
    cpus: float = _option("--cpus", 1.0, "cores of a replica (default 1)", "N")
    gpus: float = _option("--gpus", 0.0, "GPUs of a replica (default 0)", "N")
    recognizers: int = _option(
        "--recognizer-replicas",
        0,
        "replicas of KANI_RECOGNIZER (default 0: each server recognises by itself)",
        "N",
    )
    recognizer_cpus: float = _option("--recognizer-cpus", 1.0, "cores of each of them (default 1)", "N")
    recognizer_gpus: float = _option("--recognizer-gpus", 0.0, "GPUs of each of them (default 0)", "N")
    load: float = _option("--load", 0.6, "utterances for each slot (default 0.6)", "X")
    upscale_s: float = _option("--upscale-seconds", 10.0, "of more load (default 10)", "S")
    downscale_s: float = _option("--downscale-seconds", 300.0, "of less load (default 300)", "S")
    drain_s: float = _option("--drain-seconds", 60.0, "for the utterances of a replica that stops", "S")
    surge: bool = _option("--surge", False, "update by starting new replicas before old ones are stopped")
    shutdown_s: float = 8.0
    """Seconds that a front has for its sessions, as in the settings."""
    environment: dict[str, str] = field(default_factory=dict)
    """Further variables of the actors."""

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that make no application."""
        if self.replicas < 1 or self.fronts < 1:
            raise ValueError("--replicas and --fronts have to be 1 at least")
        if self.max_replicas and self.max_replicas < self.replicas:
            raise ValueError("--max-replicas has to be --replicas at least")
        if not 0 < self.load <= 1:
            raise ValueError("--load has to be above 0, at most 1")
        if self.recognizers < 0:
            raise ValueError("--recognizer-replicas has to be 0 at least")
        own = (self.cpus, self.gpus, self.recognizer_cpus, self.recognizer_gpus)
        if not all(number >= 0 for number in (*own, self.drain_s)):
            raise ValueError("the numbers of cores and GPUs and --drain-seconds have to be 0 at least")
        if not (self.upscale_s >= 0 and self.downscale_s >= 0):
            raise ValueError("--upscale-seconds and --downscale-seconds have to be 0 at least")

    @property
    def scales(self) -> bool:
        """True if the number of replicas follows the utterances."""
        return self.max_replicas > self.replicas


def deploy(plan: Plan) -> None:
    """Deploy a plan, or update the application to it; returns once all replicas are ready.

    Raises RuntimeError if the application cannot be deployed, or runs and its key cannot be read.
    """
    serve.start(proxy_location="Disabled")
    key = os.environ.get("KANI_ENGINE_KEY") or _present_key() or secrets.token_urlsafe(32)
    serve.run(bind(plan, key), name=NAME, route_prefix=None)


def bind(plan: Plan, key: str) -> serve.Application:
    """Return the application of a plan; key: of its engine workers."""
    environment = of_fronts(os.environ) | plan.environment
    engine_environment = of_replicas(environment) | {"KANI_ENGINE": plan.engine}
    arguments = (engine_environment, key, plan.drain_s)
    of_replica = {
        "health_check_period_s": CHECK_S,
        "health_check_timeout_s": HUNG_S,
        "graceful_shutdown_timeout_s": plan.drain_s + STOP_SECONDS,
        "graceful_shutdown_wait_loop_s": 0.1,
        "max_surge_percent": 100 if plan.surge else 0,
        "_internal": True,
    }
    engines = serve.deployment(EngineReplica, name=ENGINES).options(
        **of_replica,
        **_replicas(plan),
        ray_actor_options={"num_cpus": plan.cpus, "num_gpus": plan.gpus},
        # Ray 2.60 lets a running replica report no load where scaling is switched on later.
        version=_version(*arguments, plan.scales),
    )
    recognizers = None
    if plan.recognizers:
        deployment = serve.deployment(RecognizerReplica, name=RECOGNIZERS).options(
            **of_replica,
            num_replicas=plan.recognizers,
            ray_actor_options={"num_cpus": plan.recognizer_cpus, "num_gpus": plan.recognizer_gpus},
            version=_version(*arguments),
        )
        recognizers = deployment.bind(*arguments)
    fronts = serve.deployment(Front, name=FRONTS).options(
        num_replicas=plan.fronts,
        ray_actor_options={"num_cpus": 0.5},
        health_check_period_s=CHECK_S,
        health_check_timeout_s=HUNG_S,
        graceful_shutdown_timeout_s=plan.shutdown_s + CLOSE_SECONDS + STOP_SECONDS,
        graceful_shutdown_wait_loop_s=0.1,
        # A front cannot change its engine: its voices are known from the start.
        version=_version(environment, key, plan.engine, bool(plan.recognizers)),
        _internal=True,
    )
    return fronts.bind(engines.bind(*arguments), recognizers, environment, key, plan.fronts)


def _version(*arguments: object) -> str:
    """Version string that changes with the arguments or the program; Serve replaces replicas of another one.

    Serve would take a random one, and so replace every front in an update of the engines. It is a digest: the
    arguments hold keys.
    """
    digest = hashlib.sha256(repr(arguments).encode())
    for path in sorted(path for package in PACKAGES for path in (FOLDER / package).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _replicas(plan: Plan) -> dict[str, Any]:
    if not plan.scales:
        return {"num_replicas": plan.replicas}
    policy = AutoscalingPolicy(
        policy_function=f"{ByUtterances.__module__}:{ByUtterances.__name__}",
        policy_kwargs={"load": plan.load},
    )
    return {
        "autoscaling_config": AutoscalingConfig(
            min_replicas=plan.replicas,
            max_replicas=plan.max_replicas,
            upscale_delay_s=plan.upscale_s,
            downscale_delay_s=plan.downscale_s,
            look_back_period_s=LOOK_BACK_S,
            metrics_interval_s=1.0,
            policy=policy,
        )
    }


def addresses() -> list[str]:
    """Return the addresses of the fronts that answer; none where no front is ready."""
    try:
        replies = serve.get_deployment_handle(FRONTS, NAME).broadcast("address")
        found = replies.results(timeout_s=HUNG_S, return_exceptions=True)
    except (RayError, RayServeException, TimeoutError):
        return []
    return sorted(address for address in found if isinstance(address, str))


def _present_key() -> str:
    """Return the key of the application, empty if there is none: another key would replace all actors.

    Raises RuntimeError if there is an application with a key that cannot be read.
    """
    if NAME not in serve.status().applications:
        return ""
    try:
        found: str = serve.get_deployment_handle(ENGINES, NAME).key.remote().result(timeout_s=HUNG_S)
    except (RayError, RayServeException, TimeoutError) as error:
        raise RuntimeError(
            "no engine replica of what is deployed returns its key: set KANI_ENGINE_KEY, wait until one is "
            "ready, or end it by: python -m kani.ray down"
        ) from error
    return found


def connect(*, local: bool) -> None:
    """Connect to this machine's cluster; local: start one that ends with this process, only on loopback."""
    # A node that has the package installed finds it by itself.
    runtime = {} if INSTALLED else {"env_vars": {"PYTHONPATH": str(FOLDER)}}
    if not local:
        ray.init(address="auto", runtime_env=runtime, log_to_driver=False)
        return
    for attempt in range(START_ATTEMPTS):
        try:
            ray.init(
                address="local",
                _node_ip_address="127.0.0.1",
                num_cpus=LOCAL_CPUS,
                include_dashboard=False,
                runtime_env=runtime,
                log_to_driver=False,
            )
        except Exception as error:
            # Ray raises a bare Exception where a busy machine needs longer than its fixed 30 s; what it has
            # started so far ends with this process.
            if "timed out during startup" not in str(error) or attempt == START_ATTEMPTS - 1:
                raise
            log.warning("Ray has not started in 30 s on this busy machine: it is started again")
        else:
            return

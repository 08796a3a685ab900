"""The same application under Ray Serve, with replicas (the extra `cluster`)."""

from typing import Any

from ..mistake import Mistake

AT_A_TIME = 256  # requests that a replica takes: it refuses by itself what it cannot answer in time


def run(host: str, port: int, replicas: int, **settings: Any) -> None:
    """Serves until interrupted."""
    try:
        from ray import serve
    except ImportError as error:
        raise Mistake("ray is not installed; get the extra: pip install 'convatlas[cluster]'.") from error
    if replicas < 1:
        raise Mistake(f"--replicas is {replicas}; it must be at least 1.")

    def made() -> Any:
        from .app import Settings, create_app, names_of

        return create_app(Settings(**settings, names=names_of(host)))

    @serve.deployment(
        num_replicas=replicas,
        max_ongoing_requests=AT_A_TIME,
        max_queued_requests=AT_A_TIME * replicas,
        graceful_shutdown_timeout_s=30,
        ray_actor_options={"num_cpus": 1},
    )
    @serve.ingress(made)
    class Service:
        pass

    serve.start(http_options={"host": host, "port": port})
    serve.run(Service.bind(), blocking=True)

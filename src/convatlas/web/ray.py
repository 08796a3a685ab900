"""The same application under Ray Serve, with replicas (the extra `cluster`)."""

from typing import Any


def run(host: str, port: int, replicas: int, **settings: Any) -> None:
    """Serves until interrupted."""
    from ray import serve

    from ..mistake import Mistake

    if replicas < 1:
        raise Mistake(f"--replicas is {replicas}; it must be at least 1.")

    def made() -> Any:
        from .app import Settings, create_app

        return create_app(Settings(**settings, names=["*"]))

    @serve.deployment(num_replicas=replicas, ray_actor_options={"num_cpus": 1})
    @serve.ingress(made)
    class Service:
        pass

    serve.start(http_options={"host": host, "port": port})
    serve.run(Service.bind(), blocking=True)

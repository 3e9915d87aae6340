"""Built-in launcher: Ray."""

from __future__ import annotations

from srf_ray.options import RayOptions
from srframework import Component, hookimpl


@hookimpl
def srframework_launchers() -> list[Component]:
    """Register ray."""
    return [
        Component(
            name="ray",
            options=RayOptions,
            factory="srf_ray.launcher:RayLauncher",
            summary="Runs jobs on a Ray cluster, or on a new one on this machine (pip install 'srframework[ray]').",
            source="https://docs.ray.io",
        )
    ]

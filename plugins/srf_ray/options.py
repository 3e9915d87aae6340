"""Options of the Ray launcher."""

from __future__ import annotations

from pydantic import Field

from srframework import Options


class RayOptions(Options):
    """Options of ``ray``."""

    address: str | None = Field(
        None,
        min_length=1,
        description="Address of the cluster for ray.init, such as 'auto'; all machines must see store, runs "
        "and data under the same paths. Unset: $RAY_ADDRESS, else a cluster on this machine that stops with the sweep.",
    )

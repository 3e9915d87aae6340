"""Options of the launcher."""

from __future__ import annotations

from pydantic import Field

from srframework import Options


class RayOptions(Options):
    """Of ``ray``."""

    address: str | None = Field(
        None,
        min_length=1,
        description="The cluster, as ray.init takes it, such as 'auto'; its machines must see the store, the runs and "
        "the data under one path. Unset: $RAY_ADDRESS, or else a cluster of this machine that ends with the sweep.",
    )

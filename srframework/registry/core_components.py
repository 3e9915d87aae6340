"""The components of the core itself, which has no entry point."""

from __future__ import annotations

from srframework.component import Component, Options

LAUNCHERS = (
    Component(
        name="local",
        options=Options,
        factory="srframework.sweeps.launchers.local:LocalLauncher",
        summary="Runs each job in its own process on this machine.",
        source="srframework",
    ),
    Component(
        name="serial",
        options=Options,
        factory="srframework.sweeps.launchers.serial:SerialLauncher",
        summary="Runs jobs in this process, one after the other.",
        source="srframework",
    ),
)

"""The components of the core itself, which no entry point names."""

from __future__ import annotations

from srframework.component import Component, Options

LAUNCHERS = (
    Component(
        name="local",
        options=Options,
        factory="srframework.sweeps.launchers.local:LocalLauncher",
        summary="Jobs in processes of their own, on this machine.",
        source="srframework",
    ),
    Component(
        name="serial",
        options=Options,
        factory="srframework.sweeps.launchers.serial:SerialLauncher",
        summary="Jobs in this process, one after the other.",
        source="srframework",
    ),
)

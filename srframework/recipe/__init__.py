"""TOML -> a checked recipe as a value, the cells of its sweep, the length of its stages.

Imported by run, sweeps, claims, report and cli; imports registry, training's options and the contracts. It computes nothing
and loads no torch.
"""

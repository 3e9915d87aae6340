"""Reads TOML into a checked recipe, the cells of its sweep and the length of its stages; does not import torch.

Imported by run, sweeps, claims, report and cli; imports registry, the options of training and the contracts.
"""

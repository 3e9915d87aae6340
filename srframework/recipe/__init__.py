"""TOML -> a checked recipe as a value, the cells of its sweep, the length of its stages; light: it loads no torch.

Imported by run, sweeps, claims, report and cli; imports registry, the options of training, and the contracts.
"""

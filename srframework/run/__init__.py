"""One recipe run: its stages, each trained and evaluated, or reused from the store; and the run directory.

Imported by sweeps, claims, report and cli; imports recipe, training, registry and store.
"""

"""One run of a recipe: trains and evaluates its stages or reuses them from the store; writes the run directory.

Imported by sweeps, claims, report and cli; imports recipe, training, registry and store.
"""

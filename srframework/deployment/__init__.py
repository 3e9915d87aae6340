"""Results outside their run directory: models in other forms, with a model card; runs and their results as values.

Only :mod:`srframework.cli` and users import this room.
"""

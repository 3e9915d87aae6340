"""Subnetworks outside runs: the artifact with a mask and the weights that are its own, and models whose mask is locked.

Only :mod:`srframework.deployment`, :mod:`srframework.cli` and users import this room.
"""

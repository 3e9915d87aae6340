"""Checks and converts the files that recipes read, without training. Imported by the command line only."""

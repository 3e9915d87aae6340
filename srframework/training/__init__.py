"""The training loop: options, batches, checkpoints, signals. Imported by recipe (the options) and run; imports only the
contracts.
"""

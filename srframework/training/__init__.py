"""The one training loop: options, batches, checkpoints, signals. Imported by recipe (the options) and run; imports the
contracts, and no other room.
"""

"""A new plugin: a complete distribution, from templates. Only the command line uses it."""

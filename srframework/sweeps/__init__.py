"""A sweep as a function: jobs, their order, launchers, workers. Imported by claims and cli; imports run and below."""

"""Sweeps: tasks, scheduler, launchers, workers. Imported by claims and cli; imports run and the layers below."""

"""Claims: what a recipe is to confirm or refute, over several seeds, and the verdicts. Imported by cli alone."""

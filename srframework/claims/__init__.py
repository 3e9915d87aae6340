"""Claims that a recipe confirms or refutes over several seeds, and their verdicts. Imported only by cli."""

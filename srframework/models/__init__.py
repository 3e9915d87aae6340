"""Judge a saved model, of a run or of anyone: evaluate, audit and probe it. Imported by ``cli`` only."""

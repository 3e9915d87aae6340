"""A text with tables, several stages and values over several lines."""

from __future__ import annotations

RECIPE = """\
name = "x"

[training]
epochs = 3
texts = [
  "a",
  "b",
]

[[stages]]
name = "full"
loss.use = "std"

[[stages]]
name = "srnet"
pruner = { use = "mask", sparsity = 0.5 }
note = \"\"\"
epochs = 4
[training]
\"\"\"
last = 1
"""

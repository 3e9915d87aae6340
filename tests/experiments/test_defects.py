"""A broken method makes a claim fail; takes minutes each: ``make test-slow``.

Each defect replaces a method in a shipped claim, over the shipped seeds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from srframework.recipe.model import find_recipe

pytestmark = pytest.mark.slow

DEFECTS = Path(__file__).with_name("defects.py")

REPLACED = {
    "poe without p_b": (
        "03-robust-subnetworks",
        'loss.use = "poe"',
        'loss.use = "no-bias"',
        "ood(mask-50) > ood(full)",
    ),
    "reweight by 1": ("03-robust-subnetworks", 'use = "reweight"', 'use = "by-one"', "ood(reweight) > ood(full)"),
    "a mask without gradient": (
        "03-robust-subnetworks",
        'use = "mask"',
        'use = "no-gradient"',
        "id(mask-70) >= 0.95 * id(full)",
    ),
    "imp that forgets its zeros": ("03-robust-subnetworks", 'use = "imp"', 'use = "regrows"', ""),
    "a schedule that never rises": (
        "10-high-sparsity",
        'use = "mask", sparsity = 0.9, init = "soft", schedule',
        'use = "flat", sparsity = 0.9, init = "soft", schedule',
        "sparsity(gradual) >= 0.899",
    ),
}


@pytest.mark.parametrize("defect", REPLACED)
def test_a_claim_notices(defect, tmp_path):
    claim, right, wrong, check = REPLACED[defect]
    text = find_recipe(f"claims/{claim}").read_text("utf-8")
    assert right in text
    (tmp_path / "broken.toml").write_text(text.replace(right, wrong), "utf-8")
    program = str(Path(sys.executable).with_name("srframework"))
    command = [program, "--plugin", str(DEFECTS), "claims", "broken.toml", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    [row] = json.loads(done.stdout)
    if not check:  # the run stops: the mask is not that of the weights
        assert row["verdict"] == "failed"
        assert "pruner 'regrows'" in row["error"]
        return
    assert row["verdict"] != "holds"
    assert row["checks"][check]["verdict"] != "holds"

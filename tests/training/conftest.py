"""What the tests of the training loop share."""

from __future__ import annotations

import pytest
from small_training import Optimized
from torch.optim.optimizer import register_optimizer_step_pre_hook


@pytest.fixture
def optimized():
    seen = Optimized()
    handle = register_optimizer_step_pre_hook(seen)
    yield seen
    handle.remove()

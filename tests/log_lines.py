"""The lines of a log, without the times at which they were written."""

from __future__ import annotations

import re

TIME = re.compile(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


def without_times(text: str) -> list[str]:
    return TIME.sub("", text).splitlines()

"""The code in docs/plugins/: what `srframework new` writes. Write it anew with ``python tests/generated_blocks.py``."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from srframework import __version__
from srframework.scaffold.distribution import write_distribution

PAGES = sorted((Path(__file__).parents[1] / "docs" / "plugins").glob("*.md"))
_BLOCK = re.compile(r"^```(\w+) new=(\w+):(\S+)\n.*?^```$", re.DOTALL | re.MULTILINE)


def filled(text: str) -> str:
    """The text of a page with its generated blocks: the files that ``new KIND my-KIND`` writes."""
    with tempfile.TemporaryDirectory() as folder:

        def block(found: re.Match[str]) -> str:
            language, kind, file = found.groups()
            place = Path(folder, kind)
            if not place.exists():
                write_distribution(kind, f"my-{kind}", place, __version__)
            return f"```{language} new={kind}:{file}\n{(place / file).read_text('utf-8')}```"

        return _BLOCK.sub(block, text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")

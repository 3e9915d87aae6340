"""``python -m srframework``."""

from srframework.cli import main

main()

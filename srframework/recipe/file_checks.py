"""Check the files that the options of components name, once for equal options."""

from __future__ import annotations

from srframework.errors import PluginError
from srframework.locations import FileProblem
from srframework.recipe.model import Use


class FileChecks:
    """Calls ``check_files`` of components and caches the results: most cells of a sweep name the same files."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], tuple[FileProblem, ...]] = {}

    def of(self, use: Use) -> tuple[FileProblem, ...]:
        """The problems that :meth:`srframework.Options.check_files` finds.

        Raises:
            PluginError: ``check_files`` fails; names the plugin.
        """
        key = (use.registered.kind, use.registered.full_name, use.options.model_dump_json())
        if key not in self._known:
            try:
                found = tuple(use.options.check_files())
                if wrong := next((each for each in found if not isinstance(each, FileProblem)), None):
                    raise TypeError(f"expected FileProblem objects, got {type(wrong).__name__}")
            except Exception as error:
                raise PluginError(
                    f"{use.registered.owner}: check_files failed: {type(error).__name__}: {error}"
                ) from error
            self._known[key] = found
        return self._known[key]

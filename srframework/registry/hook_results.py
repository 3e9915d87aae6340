"""The components and commands that the hooks of a plugin return."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pluggy

from srframework import hookspecs
from srframework.component import API, KINDS, REFERRING, Component, may_refer
from srframework.faults import describe

if TYPE_CHECKING:
    import click

_HOOKS = {f"srframework_{title.replace(' ', '_')}s": kind for kind, title in KINDS.items()}
_COMMANDS = "srframework_register_commands"
_ALL_HOOKS = ", ".join([*_HOOKS, _COMMANDS])


class Refused(Exception):
    """A plugin does not follow the specification of the hooks."""


def collect(
    module: Any,
    components: list[tuple[str, Component]],
    commands: list[click.Command],
    reserved: Collection[str],
) -> None:
    """Append the components and commands of a module to the lists. After an error, the lists keep earlier ones."""
    manager = pluggy.PluginManager("srframework")
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise Refused(f"{describe(error)}; the hooks are {_ALL_HOOKS}") from error
    callers = manager.get_hookcallers(module)
    if not callers:
        raise Refused(f"implements no hook; the hooks are {_ALL_HOOKS}, marked with srframework.hookimpl")
    implemented = {caller.name for caller in callers}
    for hook, kind in _HOOKS.items():
        results = getattr(manager.hook, hook)()
        if hook in implemented and not results:  # pluggy drops None
            raise Refused(f"{hook} returned None; expected an iterable of Component")
        for returned in results:
            for component in _checked(hook, returned):
                components.append((kind, component))  # noqa: PERF401 -- extend would lose components before an error
    _refuse_other_api(components)
    _refuse_references(components)
    _refuse_repeats(components)
    if _COMMANDS in implemented:
        commands += _commands(manager, reserved)


def _commands(manager: pluggy.PluginManager, reserved: Collection[str]) -> Iterator[click.Command]:
    """Yield the commands that a plugin adds. It gets an empty group, so it cannot change other commands."""
    import click

    group = click.Group()
    getattr(manager.hook, _COMMANDS)(cli=group)
    for name, command in group.commands.items():
        if not isinstance(command, click.Command):
            raise Refused(f"registers as the command {name!r} a value of type {type(command).__name__}")
        if name in reserved:
            raise Refused(f"registers the command {name!r}, which is a built-in command; expected another name")
        command.name = name
        yield command


_MAX_COMPONENTS = 10_000
"""Maximum number of components of one hook; guards against an endless iterator."""


def _checked(hook: str, returned: Iterable[Component]) -> Iterator[Component]:
    if isinstance(returned, Component) or not isinstance(returned, Iterable):
        raise Refused(f"{hook} returned {type(returned).__name__}; expected an iterable of Component")
    for number, component in enumerate(returned):
        if number >= _MAX_COMPONENTS:
            raise Refused(f"{hook} returned more than {_MAX_COMPONENTS:,} components")
        if not isinstance(component, Component):
            raise Refused(f"{hook} returned an item of type {type(component).__name__}; expected Component")
        yield component


def _refuse_other_api(collected: list[tuple[str, Component]]) -> None:
    for _, component in collected:
        if component.api != API:
            raise Refused(f"component {component.name!r} is written for API {component.api}; this is API {API}")


def _refuse_references(collected: list[tuple[str, Component]]) -> None:
    for kind, component in collected:
        if kind not in REFERRING and may_refer(component.options):
            raise Refused(
                f"component {component.name!r}: an option is a StageReference; only a debiaser, a pruner or an "
                f"evaluator may refer to a stage, not a {KINDS[kind]}, which is used before the first stage"
            )


def _refuse_repeats(collected: list[tuple[str, Component]]) -> None:
    names = [f"{kind}/{component.name}" for kind, component in collected]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Refused(f"registers the same name twice: {', '.join(repeated)}")

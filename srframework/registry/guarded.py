"""Components as the core uses them: each call inside :class:`srframework.faults.calling`, each result checked.

:meth:`srframework.registry.registry.Registered.build` gives nothing else, so that no call can be forgotten: what a
contract class has is forwarded, whatever its name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from srframework.contracts import Backbone, BiasModel, Dataset, Debiaser, Evaluator, Launcher, Pruner
from srframework.errors import PluginError
from srframework.faults import built, calling, expect, kind_of, where
from srframework.registry.return_checks import CHECKS

CONTRACTS: dict[str, type] = {
    "backbone": Backbone,
    "dataset": Dataset,
    "debiaser": Debiaser,
    "bias": BiasModel,
    "pruner": Pruner,
    "evaluator": Evaluator,
    "launcher": Launcher,
}
"""What a factory must make, by the kind of the component."""


def guarded(kind: str, made: object, owner: str, options: object) -> Any:
    """A component that a factory made, behind the boundary.

    Args:
        kind: Of the component.
        made: What the factory gave.
        owner: For messages.
        options: Those of the component.

    Raises:
        PluginError: It is no instance of its kind's contract.
    """
    contract = CONTRACTS[kind]
    a = "an" if contract.__name__[0] in "AEIO" else "a"
    if not isinstance(made, contract):
        got = f"the class {made.__name__}" if isinstance(made, type) else kind_of(made)
        raise PluginError(f"{where()}{owner}: its factory must make {a} srframework.{contract.__name__} (got {got})")
    built(made, owner)
    return _proxy(contract)(made, owner, options)


@functools.cache
def _proxy(contract: type) -> Callable[[object, str, object], Any]:
    """A subclass of a contract that forwards everything that the contract has."""

    def init(self: Any, made: object, owner: str, options: object) -> None:
        self.guarded, self.guarded_owner, self.options = made, owner, options

    namespace: dict[str, Any] = {"__init__": init, "__getattr__": _other}
    for name in dir(contract):
        if not name.startswith("_"):
            is_method = callable(getattr(contract, name))
            namespace[name] = _method(contract, name) if is_method else property(_attribute(contract, name))
    return type(contract)(f"Guarded{contract.__name__}", (contract,), namespace)


def _method(contract: type, name: str) -> Callable[..., Any]:
    what, check = f"{name}()", CHECKS.get((contract, name))

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        owner = self.guarded_owner
        with calling(owner, what):
            given = getattr(self.guarded, name)(*args, **kwargs)
            if check is None:
                return given
            # Inside the block: what is checked runs the plugin's code too, such as that of a generator.
            return check(given, owner, what, *args)

    call.__name__ = name
    return call


def _attribute(contract: type, name: str) -> Callable[[Any], Any]:
    kind, check = type(getattr(contract, name)), CHECKS.get((contract, name))

    def get(self: Any) -> Any:
        with calling(self.guarded_owner, name):
            given = getattr(self.guarded, name)
        if check is not None:
            return check(given, self.guarded_owner, name)
        expect(isinstance(given, kind), self.guarded_owner, name, f"a value of type {kind.__name__}", given)
        return given

    return get


def _other(self: Any, name: str) -> Any:
    """What the contract does not have is the component's own affair."""
    if name in ("guarded", "guarded_owner", "options") or name.startswith("__"):
        raise AttributeError(name)
    return getattr(self.guarded, name)

"""Guarded components: each call runs inside :class:`srframework.faults.calling`, and each result is checked.

:meth:`srframework.registry.registry.Registered.build` returns only guarded components. They forward every attribute of
the contract class, so no call can be forgotten.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from srframework.contracts import Backbone, BiasModel, Dataset, Debiaser, Evaluator, Launcher, Pruner
from srframework.errors import PluginError
from srframework.faults import calling, expect, kind_of, record_owner, where
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
"""Kind of component -> the class whose instances its factory must return."""


def guarded(kind: str, made: object, owner: str, options: object) -> Any:
    """Wrap a component that a factory returned.

    Args:
        kind: Kind of the component.
        made: The object that the factory returned.
        owner: Owner, for messages.
        options: Options of the component.

    Raises:
        PluginError: The object is not an instance of its kind's contract.
    """
    contract = CONTRACTS[kind]
    expected = f"{'an' if contract.__name__[0] in 'AEIO' else 'a'} srframework.{contract.__name__}"
    if not isinstance(made, contract):
        got = f"the class {made.__name__}" if isinstance(made, type) else kind_of(made)
        raise PluginError(f"{where()}{owner}: its factory must make {expected} (got {got})")
    record_owner(made, owner)
    return _proxy(contract)(made, owner, options)


@functools.cache
def _proxy(contract: type) -> Callable[[object, str, object], Any]:
    """Create a subclass of a contract that forwards every public attribute of the contract."""

    def init(self: Any, made: object, owner: str, options: object) -> None:
        self.guarded, self.guarded_owner, self.options = made, owner, options

    namespace: dict[str, Any] = {"__init__": init, "__getattr__": _other}
    for name in dir(contract):
        if not name.startswith("_"):
            is_method = callable(getattr(contract, name))
            namespace[name] = _method(contract, name) if is_method else property(_attribute(contract, name))
    return type(contract)(f"Guarded{contract.__name__}", (contract,), namespace)


def _method(contract: type, name: str) -> Callable[..., Any]:
    method, check = f"{name}()", CHECKS.get((contract, name))

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        owner = self.guarded_owner
        with calling(owner, method):
            given = getattr(self.guarded, name)(*args, **kwargs)
            if check is None:
                return given
            # Inside the block, because a check can run the plugin's code, such as a generator.
            return check(given, owner, method, *args)

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
    """Forward attributes that the contract does not have without a check."""
    if name in ("guarded", "guarded_owner", "options") or name.startswith("__"):
        raise AttributeError(name)
    return getattr(self.guarded, name)

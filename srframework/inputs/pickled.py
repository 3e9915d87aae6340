"""Reads plain data from a pickle without unpickling it.

:mod:`pickle` calls any function that a file names. Here :func:`pickletools.genops` only splits the file into opcodes,
and a small machine builds plain values from them: numbers, texts, bytes, lists, tuples, dictionaries, and NumPy arrays
and scalars, which are decoded from their bytes. No name of a file is imported, and no function of it is called. Memory
and time grow with the size of the file only: a value that is used twice is shared, and nothing is expanded or shown.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from srframework.errors import DataError
from srframework.text import shorten

LARGEST = 1 << 30
"""Size limit of a file, in bytes."""

_LARGEST_INTEGER = 64
"""Bits of the largest integer."""

_LONGEST_ARRAY = 1 << 16
"""Entries of the longest array: an array is one row of a table."""


class _Refused(Exception):
    """The reason why a file is refused."""


# -- NumPy, decoded by hand ------------------------------------------------------------------------------

_MOST_DIMENSIONS = 8

_GLOBALS = {
    **{f"{room}.multiarray._reconstruct": "reconstruct" for room in ("numpy.core", "numpy._core")},
    **{f"{room}.multiarray.scalar": "scalar" for room in ("numpy.core", "numpy._core")},
    **{f"{room}.numeric._frombuffer": "frombuffer" for room in ("numpy.core", "numpy._core")},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
}
"""The names that may stand in a file -> their meaning here; nothing of them is imported."""

_CODES = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
}
"""NumPy's type of a number -> that of :mod:`struct`."""


@dataclass(frozen=True)
class _Global:
    meaning: str


@dataclass
class _Type:
    """A NumPy type of numbers."""

    code: str
    order: str = "<"

    @property
    def size(self) -> int:
        """Bytes of a number."""
        return struct.calcsize("<" + self.code)

    def numbers(self, raw: bytes | str, count: int) -> list[float]:
        """Decode numbers; Python 2 wrote bytes as text, and so does protocol 2."""
        data = raw.encode("latin-1") if isinstance(raw, str) else raw
        return list(struct.unpack(f"{self.order}{count}{self.code}", data))

    def check(self, raw: object, count: int) -> bytes | str:
        """Return the bytes of ``count`` numbers."""
        if not isinstance(raw, bytes | str) or len(raw) != count * self.size:
            raise _Refused(f"expected an array of {count} numbers of {self.size} bytes, got other data")
        return raw


@dataclass
class Array:
    """A NumPy array of numbers. They are decoded when they are read, because a file may use the same bytes often.

    Attributes:
        shape: Its shape; at most :data:`_LONGEST_ARRAY` entries.
    """

    shape: tuple[int, ...] = (0,)
    _type: _Type = field(default_factory=lambda: _Type("d"))
    _raw: bytes | str = b""

    @property
    def size(self) -> int:
        """Number of its entries."""
        return math.prod(self.shape)

    def numbers(self) -> list[float]:
        """Decode its entries, in the order of memory."""
        return self._type.numbers(self._raw, self.size)

    def fill(self, shape: object, type_: object, raw: object) -> None:
        """Set everything."""
        if not isinstance(type_, _Type) or not isinstance(shape, tuple):
            raise _Refused("expected arrays of numbers, got an array of another type")
        are_sizes = len(shape) <= _MOST_DIMENSIONS and all(type(n) is int and 0 <= n <= _LONGEST_ARRAY for n in shape)
        if not are_sizes or (count := math.prod(shape)) > _LONGEST_ARRAY:
            raise _Refused(f"expected arrays of at most {_LONGEST_ARRAY} entries, got another shape")
        self.shape, self._type, self._raw = shape, type_, type_.check(raw, count)


def _called(function: object, args: object) -> Any:
    """Evaluate what a file describes as a call; only the calls by which NumPy writes arrays have a meaning."""
    if not isinstance(function, _Global) or not isinstance(args, tuple):
        raise _Refused("expected plain data, got a call of a function")
    meaning = function.meaning
    if meaning == "encode" and len(args) == 2 and isinstance(args[0], str) and args[1] == "latin1":
        return args[0]  # stays a text, so that a text that is used often is not copied
    if meaning == "dtype" and args and isinstance(args[0], str):
        name = args[0].lstrip("<>|=")
        if name not in _CODES:
            raise _Refused(f"expected arrays of plain numbers, got the type {shorten(args[0])}")
        return _Type(_CODES[name], ">" if args[0].startswith(">") else "<")
    if meaning == "reconstruct" and args and args[0] == _Global("ndarray"):
        return Array()
    if meaning == "scalar" and len(args) == 2 and isinstance(args[0], _Type):
        return args[0].numbers(args[0].check(args[1], 1), 1)[0]
    if meaning == "frombuffer" and len(args) == 4:
        array = Array()
        array.fill(args[2], args[1], args[0])
        return array
    raise _Refused(f"expected plain data, got an unknown use of NumPy's {meaning}")


def _built(value: object, state: object) -> None:
    """Give an object its state."""
    if isinstance(value, _Type) and isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
        value.order = ">" if state[1] == ">" else "<"
    elif isinstance(value, Array) and isinstance(state, tuple) and len(state) == 5:
        value.fill(state[1], state[2], state[4])
    else:
        raise _Refused("expected plain data, got an object with a state of its own")


# -- the machine -------------------------------------------------------------------------------------------


class _Machine:
    """A stack of values, as the opcodes of a pickle build it."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, opcode: str, argument: Any) -> None:
        """Execute an opcode; raises _Refused, or IndexError or KeyError for a damaged file."""
        if opcode in _PUSHED:
            self.stack.append(_number(argument) if isinstance(argument, int) else argument)
        elif (method := _METHODS.get(opcode)) is not None:
            method(self, argument)
        else:
            raise _Refused(f"expected plain data, got the opcode {opcode}")

    def since_mark(self) -> list[Any]:
        """Take everything that was pushed since the last mark."""
        found, self.stack = self.stack, self.marked.pop()
        return found

    def put(self, place: int) -> None:
        """Remember the value on top."""
        self.memo[place] = self.stack[-1]

    def extend(self, values: Sequence[Any]) -> None:
        """Add values to the list on top."""
        if not isinstance(found := self.stack[-1], list):
            raise _Refused("expected a list, got another value")
        found.extend(values)

    def set_items(self, pairs: Sequence[Any]) -> None:
        """Add keys and values, in turn, to the dictionary on top."""
        if not isinstance(table := self.stack[-1], dict):
            raise _Refused("expected a dictionary, got another value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise _Refused(f"expected a text or an integer as a key, got {type(key).__name__.strip('_').lower()}")
            table[key] = value

    def take(self, count: int) -> tuple[Any, ...]:
        """Take the last values."""
        if len(self.stack) < count:
            raise IndexError
        found = tuple(self.stack[-count:])
        del self.stack[-count:]
        return found

    def mark(self) -> None:
        """Begin a new part of the stack."""
        self.marked.append(self.stack)
        self.stack = []

    def new(self, value: Any) -> None:
        """Push a value."""
        self.stack.append(value)

    def call(self) -> None:
        """Replace a function and its arguments by the value."""
        self.new(_called(*self.take(2)))

    def build(self) -> None:
        """Give the value below the top its state, and leave it on top."""
        value, state = self.take(2)
        _built(value, state)
        self.new(value)

    def named(self, name: object) -> None:
        """Push the meaning of a name."""
        if not isinstance(name, str):
            raise _Refused("expected plain data, got a name that is no text")
        if name not in _GLOBALS:
            raise _Refused(f"expected plain data, got the name {shorten(name)}, which a pickle would import")
        self.new(_Global(_GLOBALS[name]))


def _number(value: int) -> int:
    if value.bit_length() > _LARGEST_INTEGER:
        raise _Refused(f"expected integers of at most {_LARGEST_INTEGER} bits, got one of {value.bit_length()}")
    return value


def _dict(machine: _Machine, _: Any) -> None:
    pairs = machine.since_mark()
    machine.new({})
    machine.set_items(pairs)


def _stack_global(machine: _Machine, _: Any) -> None:
    module, name = machine.take(2)
    machine.named(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else None)


_PUSHED = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 "
    "UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 FLOAT BINFLOAT".split()
)
"""Opcodes that push their argument."""

_METHODS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
    "STOP": lambda *_: None,
    "BYTEARRAY8": lambda m, value: m.new(bytes(value)),
    "NONE": lambda m, _: m.new(None),
    "NEWTRUE": lambda m, _: m.new(True),
    "NEWFALSE": lambda m, _: m.new(False),
    "EMPTY_LIST": lambda m, _: m.new([]),
    "EMPTY_TUPLE": lambda m, _: m.new(()),
    "EMPTY_DICT": lambda m, _: m.new({}),
    "MARK": lambda m, _: m.mark(),
    "POP": lambda m, _: m.take(1),
    "POP_MARK": lambda m, _: m.since_mark(),
    "DUP": lambda m, _: m.new(m.stack[-1]),
    "LIST": lambda m, _: m.new(m.since_mark()),
    "TUPLE": lambda m, _: m.new(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.new(m.take(1)),
    "TUPLE2": lambda m, _: m.new(m.take(2)),
    "TUPLE3": lambda m, _: m.new(m.take(3)),
    "DICT": _dict,
    "APPEND": lambda m, _: m.extend(m.take(1)),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items(m.take(2)),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda m, place: m.put(place)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, place: m.new(m.memo[place])),
    "GLOBAL": lambda m, names: m.named(names.replace(" ", ".", 1)),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda m, _: m.call(),
    "BUILD": lambda m, _: m.build(),
}
"""Opcode -> its effect. Every other opcode is refused."""


def read_plain(content: bytes, path: str) -> Any:
    """Build the value of a pickle, if it is plain data.

    Args:
        content: The pickle, at most :data:`LARGEST` bytes.
        path: Its file, for messages.

    Returns:
        Numbers, texts, bytes, lists, tuples, dictionaries with texts and integers as keys, and :class:`Array`. A value
        may contain itself.

    Raises:
        DataError: It is damaged, or contains anything else.
    """
    machine, stream, at = _Machine(), io.BytesIO(content), 0
    try:
        for opcode, argument, position in pickletools.genops(stream):
            at = position or 0
            machine.run(opcode.name, argument)
        [value] = machine.stack
        if machine.marked or stream.read(1):
            raise ValueError("data after its end")
    except _Refused as refused:
        raise DataError(f"{path}: byte {at}: {refused}; nothing in the file was executed") from refused
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: expected a readable pickle (byte {at}: {reason})") from error
    return value

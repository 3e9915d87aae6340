"""Pickles are read without unpickling them: plain data as it was written, and everything else refused."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import sys
import time
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from srframework.errors import DataError
from srframework.inputs.pickled import Array, read_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
MARKER = "a marker that no pickle may make"


def refusal(content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_plain(content, "f.pkl")
    message = str(caught.value)
    assert message.startswith("f.pkl: ")
    assert len(message) < 500
    assert "\n" not in message
    return message


# -- plain data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": [0.5, 0.5], 7: (0.25, 0.75)},
        {str(number): [number / 1000, 1 - number / 1000] for number in range(1500)},
        [1, -1, 255, 256, 65536, 2**31, -(2**31) - 1, 2**62, -(2**62)],
        [None, True, False, "", "é\u2028'\"\\\n", 1e-300, -0.0, float("inf")],
        ((), ((),), [[]], {1: {2: [3]}}),
    ],
    ids=["empty", "rows", "many", "integers", "texts", "nested"],
)
def test_plain_data_is_read_as_pickle_reads_it(value, protocol):
    assert read_plain(pickle.dumps(value, protocol=protocol), "f.pkl") == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", "<i4", ">i8", "u1", "i1", "<u8"])
def test_arrays_and_scalars_are_decoded_from_their_bytes(dtype, protocol):
    row = np.array([1, 0, 3], dtype=dtype)
    found = read_plain(pickle.dumps({"a": row, "b": row[2], 3: row}, protocol=protocol), "f.pkl")
    assert isinstance(found["a"], Array)
    assert found["a"].shape == (3,)
    assert found["a"].numbers() == [1, 0, 3]
    assert found["b"] == 3
    assert found[3].numbers() == [1, 0, 3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_keys_may_be_numpy_integers(protocol):
    assert read_plain(pickle.dumps({np.int64(5): [0.5, 0.5]}, protocol=protocol), "f.pkl") == {5: [0.5, 0.5]}


def test_a_pickle_of_python_2_is_read():
    # {'7': array([0.5, 0.25])}, protocol 2, with bytes as text and the old name of the module
    raw = struct.pack("<2d", 0.5, 0.25)
    content = (
        b"\x80\x02}U\x017cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x10" + raw + b"tbs."
    )
    found = read_plain(content, "f.pkl")
    assert list(found) == ["7"]
    assert found["7"].numbers() == [0.5, 0.25]


def test_nothing_is_imported_to_read_an_array():
    """In a process of its own, which has not imported NumPy."""
    import subprocess

    content = pickle.dumps({"a": np.array([0.5, 0.5])})
    code = (
        "import sys; from srframework.inputs.pickled import read_plain;"
        f"assert read_plain({content!r}, 'f')['a'].numbers() == [0.5, 0.5]; print('numpy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


# -- hostile -----------------------------------------------------------------------------------------------


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function, *args) -> None:
        self._call = function, args

    def __reduce__(self):
        return self._call


@pytest.fixture
def marker(tmp_path, monkeypatch) -> Path:
    """A file that a hostile pickle would make in the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / MARKER


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, (f"touch '{MARKER}'",), f"{os.system.__module__}.system"),
        (eval, (f"open({MARKER!r}, 'w')",), "builtins.eval"),
        (exec, (f"open({MARKER!r}, 'w')",), "builtins.exec"),
        (open, (MARKER, "w"), ".open"),
        (getattr, ("", "format"), "builtins.getattr"),
        (os.mkdir, (MARKER,), f"{os.mkdir.__module__}.mkdir"),
        (np.load, (MARKER,), "numpy.load"),
        (np.fromfile, (MARKER,), "fromfile"),
    ],
    ids=["system", "eval", "exec", "open", "getattr", "mkdir", "numpy.load", "numpy.fromfile"],
)
def test_a_call_is_never_made(marker, function, args, name, protocol):
    message = refusal(pickle.dumps({"a": Calls(function, *args)}, protocol=protocol))
    assert "which a pickle would import; nothing in the file was executed" in message
    # protocols below 3 write the names of Python 2
    assert name in message.replace("__builtin__", "builtins") or "io.open" in message
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "got the name 'os.system'"),
        (b"(S'true'\nios\nsystem\n.", "got the opcode INST"),
        (b"(cos\nsystem\nS'true'\no.", "got the name 'os.system'"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "got the name 'os.system'"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0ecore.os.system\x93.", "got the name 'numpy.core.os.system'"),
        (b"\x80\x04)\x8c\x06system\x93.", "got a name that is no text"),
        (b"\x80\x02}S'a'\nK\x01s\x82\x01.", "got the opcode EXT1"),
        (b"Pid\n.", "got the opcode PERSID"),
        (b"K\x01Q.", "got the opcode BINPERSID"),
        (b"\x80\x04\x8f.", "got the opcode EMPTY_SET"),
        (b"\x80\x05\x97.", "got the opcode NEXT_BUFFER"),
        (b"\x80\x02]}b.", "got an object with a state of its own"),
        (b"\x80\x02K\x01)R.", "got a call of a function"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "got an unknown use of NumPy's ndarray"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "got the opcode NEWOBJ"),
        (
            b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
            "got an unknown use of NumPy's encode",
        ),
        (b"\x80\x02}]K\x01s.", "expected a text or an integer as a key, got list"),
        (b"\x80\x02}\x88K\x01s.", "expected a text or an integer as a key, got bool"),
        (b"\x80\x02K\x01K\x02a.", "expected a list, got another value"),
        (b"\x80\x02]K\x01K\x02s.", "expected a dictionary, got another value"),
    ],
)
def test_opcodes_that_are_not_plain_data_are_refused(content, expected):
    message = refusal(content)
    assert expected in message
    assert message.endswith("; nothing in the file was executed")


@pytest.mark.parametrize(
    "value",
    [
        Fraction(1, 2),
        {1, 2},
        frozenset([1]),
        OrderedDict(a=1),
        1j,
        slice(1),
        range(3),
        np.array([None]),
        np.array(["a"]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_types_are_refused(value, protocol):
    assert "nothing in the file was executed" in refusal(pickle.dumps({"a": value}, protocol=protocol))


def _array(shape: tuple[int, ...], code: str, raw: bytes) -> bytes:
    """A pickle of an array whose parts need not fit."""
    sizes = b"".join(b"J" + struct.pack("<i", each) for each in shape)
    made = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    type_ = b"cnumpy\ndtype\nX\x02\x00\x00\x00" + code.encode() + b"\x89\x88\x87R"
    type_ += b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    return made + b"(K\x01(" + sizes + b"t" + type_ + b"\x89B" + struct.pack("<I", len(raw)) + raw + b"tb."


def test_the_array_of_these_tests_is_one():
    assert pickle.loads(_array((2,), "f8", struct.pack("<2d", 1, 2))).tolist() == [1, 2]
    assert read_plain(_array((2,), "f8", struct.pack("<2d", 1, 2)), "f").numbers() == [1, 2]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_array((2,), "f8", b"x" * 15), "expected an array of 2 numbers of 8 bytes, got other data"),
        (_array((2**30,), "f8", b""), "expected arrays of at most 65536 entries, got another shape"),
        (_array((-1,), "f8", b""), "expected arrays of at most 65536 entries, got another shape"),
        (_array((60000, 60000), "f8", b""), "expected arrays of at most 65536 entries, got another shape"),
        (_array((1,) * 9, "f8", b"x" * 8), "expected arrays of at most 65536 entries, got another shape"),
        (_array((1,), "O8", b"x" * 8), "expected arrays of plain numbers, got the type 'O8'"),
        (_array((1,), "V8", b"x" * 8), "expected arrays of plain numbers, got the type 'V8'"),
        (_array((1,), "S8", b"x" * 8), "expected arrays of plain numbers, got the type 'S8'"),
    ],
)
def test_arrays_that_claim_what_they_have_not_are_refused(content, expected):
    assert expected in refusal(content)


def seconds(content: bytes) -> float:
    start = time.process_time()
    refusal(content)
    return time.process_time() - start


def test_deep_nesting_is_no_recursion():
    deep = b"\x80\x02" + b"(" * 300_000 + b"l" * 300_000 + b"."
    value = read_plain(deep, "f.pkl")
    assert isinstance(value, list)
    in_shape = b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R" + b"(" * 100_000 + b"t" * 100_000 + b"\x86."
    assert isinstance(read_plain(in_shape, "f.pkl"), tuple)


def test_a_deep_value_is_not_shown():
    deep = b"(" * 100_000 + b"t" * 100_000
    frombuffer = b"cnumpy.core.numeric\n_frombuffer\n(C\x00cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85R"
    assert "got another shape" in refusal(b"\x80\x02" + frombuffer + b"(" + deep + b"tX\x01\x00\x00\x00CtR.")
    assert "got a name that is no text" in refusal(b"\x80\x04" + deep + b"X\x01\x00\x00\x00a\x93.")


def test_a_memo_bomb_stays_small():
    """Ten references to a list of ten references, and so on forty times: 10 ** 40 elements if it were expanded."""
    bomb = b"\x80\x02]q\x000"
    for level in range(40):
        bomb += b"](" + bytes([ord("h"), level]) * 10 + b"eq" + bytes([level + 1]) + b"0"
    assert len(read_plain(bomb + b"h\x28.", "f.pkl")) == 10
    assert seconds(bomb + b"h\x28h\x28R.") < 5  # a message does not show it


def test_the_same_bytes_are_not_copied():
    """One raw array of 64 KiB, used a hundred thousand times: 6 GiB if each use copied it."""
    head = b"\x80\x03B" + struct.pack("<I", 65536) + b"\0" * 65536 + b"q\x000"
    head += b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85Rq\x010cnumpy.core.numeric\n_frombuffer\nq\x020"
    head += b"J" + struct.pack("<i", 65536) + b"\x85q\x030X\x01\x00\x00\x00Cq\x040"
    use = b"h\x02(h\x00h\x01h\x03h\x04tR"
    value = read_plain(head + b"(" + use * 100_000 + b"l.", "f.pkl")
    assert len(value) == 100_000
    assert value[0].size == 65536


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"ab.", "expected a readable pickle (byte"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 2**64 - 1) + b"ab.", "expected a readable pickle (byte"),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"ab.", "expected a readable pickle (byte"),
        (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"ab.", "expected a readable pickle (byte"),
        (b"\x80\x02\x8b" + struct.pack("<i", 1000) + b"\x7f" * 1000 + b".", "expected integers of at most 64 bits"),
        (b"L" + b"9" * 5000 + b"L\n.", "expected a readable pickle (byte"),
        (b"I" + b"9" * 400 + b"\n.", "expected integers of at most 64 bits"),
    ],
)
def test_huge_sizes_are_refused_at_once(content, expected):
    assert expected in refusal(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80",
        b"\x80\x02",
        b"a.",
        b"\x80\x02h\x07.",
        b"u.",
        b"t.",
        b"\x80\x02}(K\x01u.",
        b"N.N",
        b"NN.",
        b"(N.",
    ],
)
def test_damaged_files_are_refused(content):
    assert "expected" in refusal(content)


def test_every_cut_of_a_pickle_is_refused():
    whole = pickle.dumps({"a": np.array([0.5, 0.5]), "b": [0.25, 0.75]})
    for length in range(len(whole)):
        refusal(whole[:length])


@pytest.mark.parametrize("content", [b"\xff\xff", b"{}", b"PK\x03\x04", b"\x89HDF", b"\x93NUMPY"])
def test_other_files_are_refused(content):
    assert "expected" in refusal(content)


def test_every_changed_byte_is_read_or_refused():
    whole = pickle.dumps({"a": np.array([0.5, 0.5]), "b": [0.25, 0.75], 3: np.float32(1)}, protocol=2)
    for place in range(len(whole)):
        for value in (0, 0x28, 0x52, 0x63, 0x69, 0x81, 0xFF):
            with contextlib.suppress(DataError):  # any other error fails
                read_plain(whole[:place] + bytes([value]) + whole[place + 1 :], "f.pkl")

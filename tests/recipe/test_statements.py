from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from srframework.recipe import statements
from srframework.recipe.model import shipped


def paths(data, path=()):
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


def lines_by_parsing(text):
    """The line of each key path, found by parsing the file again and again, each time one line longer."""
    seen, prefix, start = {}, "", 0
    for number, line in enumerate(text.split("\n"), 1):
        prefix += line + "\n"
        if not start and (not line.strip() or line.lstrip().startswith("#")):
            continue
        start = start or number
        try:
            data = tomli.loads(prefix)
        except tomli.TOMLDecodeError:
            continue
        for path in paths(data):
            seen.setdefault(path, start)
        start = 0
    return seen


def check(text):
    """Every key path is where parsing finds it; one inside a value is on the line of the statement around it."""
    found, expected = statements.lines(text), lines_by_parsing(text)
    assert found.keys() <= expected.keys()
    for path, line in expected.items():
        around = next(path[:end] for end in range(len(path), 0, -1) if path[:end] in found)
        assert found[around] == line


def test_every_kind_of_statement():
    check(
        "\ufeff".strip("\ufeff")
        + """\
# first
a = 1 # [x]
"b.c" = "# no comment"
'd' . "e\\u0041" . f = [ # an array
  "]", ']', # ]
  { x = 1, y = [2, 3] },
]

[[stages]] # one
name = '''
[no.header]
''quoted'''''
s = \"\"\"
key = "1"
\\\"\"\" ""\\
\"\"\"\"\"
[stages.inner."x y"]
t = 2024-01-01T00:00:00Z
  [[stages]]
\tname = "\\\\"
[[stages.steps]]
n = -inf
[[stages.steps]]
[ top . "dotted key" ]
u={a.b=1,c={}}
""\t=  true
last = 0x_not
""".replace("0x_not", "0xff")
    )


def test_no_statement_at_all():
    assert statements.lines("# nothing\n\n") == {}


def test_the_shipped_recipes():
    for path in shipped().values():
        if len(text := path.read_text()) < 1600:  # the slow way is quadratic
            check(text)


WORDS = ["a", "b", "c-1", '"q"', "'l'", '"a.b"', '"#"', "'['", '"\\""', '"="', "1"]
keys = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" .".join)
texts = st.sampled_from(
    [
        "1",
        "'x'",
        '"#\\"]"',
        "'''\n[a]\nb = 1\n'''",
        '"""\n"a" \\"""\n"""""',
        "[\n1, # ]\n'}',\n]",
        "{ x = [1], 'y=' = '}' }",
        "[{}]",
    ]
)
pieces = st.one_of(
    st.builds("{} = {}\n".format, keys, texts),
    st.builds("[{}]\n".format, keys),
    st.builds("[[ {} ]] # [[x]]\n".format, keys),
    st.sampled_from(["\n", "  # a = 1\n", "\t\n"]),
)


@given(st.lists(pieces, max_size=8).map("".join))
def test_whatever_tomli_parses(text):
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        return
    check(text)


def test_the_scanner_reads_a_long_file_once(monkeypatch):
    """Each statement is looked at once: no more matches than statements, several for each."""
    matches = 0
    skip = statements._skip

    def counted(*arguments):
        nonlocal matches
        matches += 1
        return skip(*arguments)

    monkeypatch.setattr(statements, "_skip", counted)
    text = "".join(f'[[stages]]\nname = "s{number}"\n' for number in range(3000))
    assert statements.lines(text)[("stages", 2999, "name")] == 6000
    assert matches < 6000 * 6


def test_a_long_integer_is_found():
    assert statements.line_of_long_integer("a = 1\nb = 1_" + "2" * 5000) == 2
    assert statements.line_of_long_integer("a = 1") is None

"""`srframework report`, on run directories made by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

HOSTILE = "</td><img src=x onerror=alert(1)><script>alert('\"&')</script>--><!--"
VOID = {"meta", "link", "input", "br", "img"}
CLAIM = {
    "claim": "claims/03-robust-subnetworks",
    "statement": f"It holds {HOSTILE}.",
    "source": "§4.2",
    "note": "",
    "verdict": "undecided",
    "figures": {"ood(srnet)": {"unit": "fraction", "values": [0.7, 0.72], "mean": 0.71, "sd": 0.0141}},
    "checks": {"ood(srnet) > ood(full)": {"verdict": "undecided", "seeds": 12, "reason": ""}},
    "controls": {"ood(random) > 0.5": {"verdict": "does not hold", "seeds": None, "reason": "random has collapsed"}},
}


class Page(HTMLParser):
    """The elements, links, tables and text of a page; every element must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._caption = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action", "srcset")]
        self.ids += [value for name, value in attrs if name == "id"]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables[self._caption].append([])
        if tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "caption":
            self.tables[self._caption] = []

    def handle_data(self, data):
        self.text += data
        if "caption" in self.open:
            self._caption += data
        elif self.open[-2:-1] and {"td", "th"} & set(self.open):
            self.tables[self._caption][-1][-1] += data


@pytest.fixture
def page(work, perform):
    """Write the page; its text, and the output of the command."""

    def page(*args):
        done = perform("report", *args, cwd=work)
        assert done.code == 0, done.err
        return (work / "report.html").read_text(encoding="utf-8"), done

    return page


@pytest.fixture
def logged(swept, work):
    """The runs of ``swept``, with logs of their training and the verdicts of a claim."""
    for stage in work.glob("runs/s/*/stages/*"):
        (stage / "metrics.jsonl").write_text('{"step": 10, "loss": 0.5}\n{"step": 20, "accuracy": {"dev": 0.8}}\n')
    (work / "runs/claims.json").write_text(json.dumps([CLAIM]))


def test_the_page_is_well_formed_and_needs_nothing_else(logged, page):
    text, done = page()
    assert done.out == "report.html: 6 runs, 3 rows, 2 figures, 1 claim\n"
    parsed = Page(text)
    assert parsed.names.count("svg") == 2
    assert len(parsed.ids) == len(set(parsed.ids))
    assert all(link.startswith(("#", "data:")) for link in parsed.links)
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert not re.search(r"url\((?!#)|@import|fetch\(|<iframe|<metadata", text)
    assert "default-src 'none'" in text


def test_every_row_of_the_results_is_a_row_of_the_page(logged, page, call):
    found = Page(page()[0]).tables["Results"]
    assert found[0] == ["stage", "sparsity %", "ID accuracy % ↑", "OOD hans accuracy % ↑", "n", "pruner.sparsity"]
    rows = json.loads(call("results", "--json").out)
    assert len(rows) == len(found) - 1 == 3
    for row in rows:
        figures = [row["sparsity"], row["id"], row["ood"]["hans"]]
        sds = ["", *(f" ± {100 * each['sd']:.2f}" for each in figures[1:])]
        shown = [f"{100 * each['mean']:.2f}{sd}" for each, sd in zip(figures, sds, strict=True)]
        settings = [f"{value:g}" for value in row["settings"].values()] or [""]
        assert [row["stage"], *shown, str(row["n"]), *settings] in found


def test_a_claim_has_its_verdict_figures_checks_and_controls(logged, page):
    parsed = Page(page()[0])
    name = CLAIM["claim"]
    assert f"{name}: undecided" in parsed.text
    assert parsed.tables[f"Checks of {name}"][1:] == [
        ["ood(srnet) > ood(full)", "undecided", "check", "about 12 seeds would decide"],
        ["ood(random) > 0.5", "does not hold", "control", "random has collapsed"],
    ]
    assert parsed.tables[f"Figures of {name}"][1:] == [["ood(srnet)", "71.00 ± 1.41 %", "2", "70.00, 72.00"]]


def test_recipes_versions_seeds_and_what_chose_the_checkpoint_are_there(make_run, page):
    path = make_run("runs/a", versions="0.1.7")
    (path / "recipe.toml").write_text('name = "hand"  # <b>\n')
    parsed = Page(page()[0])
    assert 'name = "hand"  # <b>' in parsed.text
    assert ["srframework", "0.1.7", "1"] in parsed.tables["Versions and machines"]
    assert ["runs/a", "hand", "1", "finished"] in parsed.tables["Run directories"]
    assert "Each model is that after the last step" in parsed.text
    assert "One seed shows no spread" in parsed.text


def test_hostile_names_are_text(make_run, work, page):
    for seed in (1, 2):
        path = make_run(f"runs/<b>{seed}", seed, name=HOSTILE, versions=HOSTILE)
        for name in ("summary.json", "results.json"):
            (path / name).write_text((path / name).read_text().replace('"srnet"', json.dumps(HOSTILE)))
        (path / "recipe.toml").write_text(f"# {HOSTILE}\x00\x1b")
    (work / "runs/claims.json").write_text(
        json.dumps(
            [
                {
                    **CLAIM,
                    "claim": HOSTILE,
                    "checks": {HOSTILE: {**CLAIM["checks"]["ood(srnet) > ood(full)"], "reason": HOSTILE}},
                }
            ]
        )
    )
    text, _ = page()
    parsed = Page(text)
    assert HOSTILE in parsed.text
    assert "img" not in parsed.names
    assert (parsed.names.count("script"), parsed.names.count("b")) == (1, 0)
    assert HOSTILE in [row[0] for row in parsed.tables["Results"]]
    assert "\x00" not in text


def test_the_same_runs_give_the_same_page_and_another_file_is_replaced(logged, work, page, perform):
    first, _ = page()
    assert page()[0] == first
    (work / "other.html").write_text("old")
    assert perform("report", "runs/s", "--out", "other.html", cwd=work).out.startswith("other.html: 6 runs, 3 rows")
    assert "other.html" not in first
    assert (work / "other.html").read_text(encoding="utf-8") != "old"


def test_unfinished_runs_and_damaged_files_are_warnings_in_the_page(make_run, work, page):
    make_run("runs/a")
    stopped = make_run("runs/b", seed=2)
    (stopped / "summary.json").unlink()
    (stopped / "run.json").write_text('{"state": "interrupted"}')
    (work / "runs/claims.json").write_text('[{"claim": 1}]')
    text, done = page()
    assert done.err.count("warning: ") == 2
    assert "runs/claims.json: expected the verdicts of claims; " in done.err
    assert "runs/b: unfinished (interrupted)" in Page(text).text


def test_without_matplotlib_a_warning_takes_the_place_of_the_figures(make_run, page, monkeypatch):
    make_run("runs/a")
    monkeypatch.setattr("srframework.report.drawing.importlib.util.find_spec", lambda _: None)
    text, done = page()
    assert "drawing needs matplotlib" in Page(text).text
    assert done.out == "report.html: 1 run, 2 rows\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere"], "nowhere: expected a directory with runs; there is no such directory"),
        (["empty"], "no finished stage and no claim under empty"),
        (["--out", "empty"], "--out empty: it is a directory"),
        (["--out", "none/page.html"], "--out none/page.html: the directory none does not exist"),
    ],
)
def test_what_cannot_be_is_a_sentence(make_run, work, call, args, message):
    make_run("runs/a")
    (work / "empty").mkdir()
    done = call("report", *args)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


PROBE = """<script>
const found = [];
addEventListener("error", (event) => found.push("error: " + event.message));
addEventListener("securitypolicyviolation", (event) => found.push("blocked: " + event.blockedURI));
addEventListener("load", () => {
  const name = (row) => row.cells[0].textContent + row.cells[5].textContent;
  const first = () => [...document.querySelectorAll("#results tbody tr")].map(name);
  const heads = document.querySelectorAll("#results thead th");
  const button = heads[2].querySelector("button");
  button.focus();
  found.push("focus: " + (document.activeElement === button));
  button.click();
  found.push("up: " + first() + " " + heads[2].getAttribute("aria-sort"));
  button.click();
  found.push("down: " + first() + " " + heads[2].getAttribute("aria-sort"));
  heads[5].querySelector("button").click();
  found.push("empty last: " + first() + " " + heads[2].getAttribute("aria-sort"));
  const filter = document.querySelector("#results input");
  filter.value = "SRNET 0.7";
  filter.dispatchEvent(new Event("input"));
  found.push("shown: " + [...document.querySelectorAll("#results tbody tr")].filter((row) => !row.hidden).length);
  found.push("count: " + document.querySelector("#results output").textContent);
  const page = document.documentElement;
  found.push("wider by: " + Math.max(0, page.scrollWidth - page.clientWidth));
  document.body.dataset.found = JSON.stringify(found);
});
</script>"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_the_page_sorts_and_filters_without_errors_and_fits(logged, work, page, tmp_path, width):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("needs Chromium")
    text, _ = page()
    (work / "probe.html").write_text(text.replace("<body>", f"<body>{PROBE}"), encoding="utf-8")
    options = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --dump-dom"
    done = subprocess.run(
        [
            *(browser, *options.split(), "--enable-logging=stderr", "--virtual-time-budget=5000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", f"file://{work}/probe.html"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    [found] = re.findall(r'data-found="([^"]*)"', done.stdout)
    assert json.loads(found.replace("&quot;", '"')) == [
        "focus: true",
        "up: srnet0.7,srnet0.5,full ascending",
        "down: full,srnet0.5,srnet0.7 descending",
        "empty last: srnet0.5,srnet0.7,full null",
        "shown: 1",
        "count: 1 of 3 rows",
        "wider by: 0",
    ]
    assert "CONSOLE" not in done.stderr

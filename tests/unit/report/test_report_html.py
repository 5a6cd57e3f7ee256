import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from documents import case, document, full_document, gate, model_info, value
from edge_documents import EDGES
from hostile_documents import HOSTILE, hostile_document
from page import Page

import pytest_lossy.report.html as html_module
from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.report.tables import heat_bin, slice_tables
from pytest_lossy.results.document import Curve, CurvePoint, MetricValue

STYLE = (Path(html_module.__file__).parent / "templates" / "style.css").read_text(encoding="utf-8")
ALL = {"full": full_document(3), "hostile": hostile_document(), **EDGES}


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_page_is_well_formed_and_accessible(name):
    page = Page.read(render_html(ALL[name]))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for key in ("aria-labelledby", "for"):
            for target in (attributes.get(key) or "").split():
                assert target in ids, f"{key}={target}"
    for table in page.tables:
        assert table.caption
        assert table.header_cells
        assert table.row_headers == table.rows - 1, "one header in each row of the body"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), levels
    assert [tag for tag, _ in page.tags].count("main") == 1
    for svg in page.all("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and svg["aria-labelledby"])


@pytest.mark.parametrize("name", sorted(ALL))
def test_nothing_undefined_is_printed(name):
    text = Page.read(render_html(ALL[name])).text
    assert not re.search(r"\b(None|nan|inf|undefined)\b", text.replace("none", ""))


@pytest.mark.parametrize("name", sorted(ALL))
def test_nothing_from_the_document_becomes_code_or_a_link(name):
    found = ALL[name]
    names = [path for sample in found.gallery for path in sample.pictures.values()]
    page = Page.read(render_html(found, dict.fromkeys(names, b"RIFF\x10\x00\x00\x00WEBP<script>\"'>")))
    static = Page.read(render_html(document()))
    assert page.scripts == static.scripts
    assert page.styles == static.styles
    assert len(page.all("script")) == len(page.all("style")) == 1
    for picture in page.all("img"):
        assert re.fullmatch(r"data:image/(webp|jpeg);base64,[A-Za-z0-9+/]+=*", picture.pop("src") or "")
        assert "alt" in picture
    assert not page.all("iframe") + page.all("object") + page.all("base") + page.all("form")
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "srcdoc", "action")]
        if "href" in attributes:
            assert re.fullmatch(r"#[a-z]+(-\d+)?|data:,", attributes["href"] or ""), (tag, attributes)
        for key in ("id", "class", "name", "for"):
            assert re.fullmatch(r"[\w -]*", attributes.get(key) or ""), (tag, attributes)


def test_hostile_text_is_shown_as_it_is():
    text = Page.read(render_html(hostile_document())).text
    for attack in HOSTILE:
        seen = attack.replace("\x1b", r"\u001b").replace("\u202e", r"\u202e")
        assert " ".join(seen.split()) in text


def test_no_character_reorders_or_hides_text():
    assert not re.search(r"[\x00-\x08\x0e-\x1f\u200e\u200f\u202a-\u202e\u2066-\u2069]", render_html(hostile_document()))


def test_the_policy_forbids_everything_that_is_not_in_the_file():
    policy = next(m["content"] for m in Page.read(render_html(document())).all("meta") if "http-equiv" in m)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe-eval", policy)
    assert "http" not in re.sub(r"http-equiv", "", render_html(full_document(2)))


@pytest.mark.parametrize(
    ("found", "headline"),
    [
        (document([case(gates=[gate(verdict="passed", met=True)])]), "Passed: 1 gated case"),
        (EDGES["nothing"], "Nothing was tested: no case ran"),
        (EDGES["ungated"], "Measured, not judged: 2 cases without a gate"),
        (EDGES["not run"], "Incomplete: 2 cases did not run, of 2"),
        (EDGES["model error, no rows"], "Failed: 1 model could not be loaded"),
        (EDGES["model error"], "Failed: 2 cases in error, of 2"),
        (EDGES["strict"], "Failed: 1 case not shown to meet a gate, of 1"),
        (EDGES["exit status"], "Failed: pytest ended with exit status 3"),
        (document([case(verdict="inconclusive")]), "No gate failed, 1 case inconclusive, of 1"),
        (document([case(verdict="failed", outcome="failed")]), "Failed: 1 case missed a gate, of 1"),
    ],
)
def test_the_banner_says_the_outcome_in_words(found, headline):
    html = render_html(found)
    assert f"<span>{headline}</span>" in html
    assert f"<title>{headline} " in html


def test_smoke_runs_interruptions_and_warnings_stand_above_the_tables():
    html = render_html(full_document(1, 1, samples_limit=20, status="interrupted", warnings=["pillow changed"]))
    top = html[: html.index('id="attention"')]
    assert "Smoke run" in top
    assert "interrupted" in top
    assert "pillow changed" in top


def test_a_missed_gate_shows_requirement_observation_and_line():
    text = Page.read(render_html(document([case(verdict="failed", outcome="failed", gates=[gate()])]))).text
    for part in ("miou retention ≥ 90.0%", "max_drop: 10%", "80.0% [77.0%, 83.0%]", "thresholds.yaml:12"):
        assert part in text


def test_a_load_error_is_one_problem_however_many_cases_it_costs():
    rows = [case(verdict="error", outcome="failed", error="no weights", level=n) for n in range(30)]
    html = render_html(document(rows, models=[model_info(error="no weights")]))
    attention = html[html.index('id="attention"') : html.index('id="retention"')]
    assert attention.count("no weights") == 1
    assert "30 cases ended without a result" in attention


def test_many_failures_do_not_bury_the_plots():
    rows = [case(level=n, verdict="failed", outcome="failed", gates=[gate()]) for n in range(1, 95)]
    html = render_html(document(rows))
    assert "94 gates not met, the first 12" in html
    assert "The other 82 gates" in html


def test_each_row_can_be_run_again_from_a_shell():
    html = render_html(document([case(id="model specs/a'b.yaml::m::jpeg-q15"), case(codec="clean")]))
    text = Page.read(html).text
    assert """pytest --lossy-codec=jpeg 'model specs/a'"'"'b.yaml::m::jpeg-q15'""" in text
    assert "pytest --lossy-codec=all model_specs/segnet-mini.yaml::segnet-mini::clean" in text
    smoke = Page.read(render_html(document([case()], samples_limit=8))).text
    assert "pytest --lossy-codec=jpeg --lossy-samples=8 model_specs" in smoke


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ""),
        ("--lossy-level jpeg:7,15 --lossy-level=h264:40", "--lossy-level=jpeg:15 "),
        ("--lossy-thresholds=a.yaml --lossy-thresholds 'b c.yaml'", "'--lossy-thresholds=b c.yaml' "),
        ("--lossy-tolerance=10% -n2", "--lossy-tolerance=10% "),
        ("-k \"it's", ""),
    ],
)
def test_a_row_is_run_again_as_it_was(typed, expected):
    row = case(level=15)
    found = document([row], command=f"pytest --lossy-codec=jpeg {typed}")
    assert Lookup(found).rerun(row) == f"pytest --lossy-codec=jpeg {expected}{row.id}"


@pytest.mark.parametrize(
    ("retention", "shade"),
    [(1.2, 0), (0.991, 0), (0.99, 1), (0.95, 3), (0.9, 4), (0.5, 7), (0.0, 7), (-1.0, 7)],
)
def test_shades_open_at_round_drops(retention, shade):
    assert heat_bin(retention) == shade


def test_the_heat_map_carries_numbers_and_words():
    found = document(
        [
            case(level=95, metrics={"miou": value(0.6, 1.013)}),
            case(level=5, verdict="failed", outcome="failed", metrics={"miou": value(0.6, 0.42)}),
            case(level=10, verdict="crashed", outcome="failed"),
        ]
    )
    html = render_html(found)
    row = html[html.index('<table class="heat">') : html.index("</table>", html.index('<table class="heat">'))]
    assert re.findall(r'<th scope="col">(\w+)</th>', row) == ["q95", "q10", "q5"]
    assert '<td class="s0">101.3%</td>' in row
    assert "crashed" in row
    assert 'class="sr">failed' in row


def test_slices_are_ranked_by_the_drop_at_the_most_severe_level():
    metrics = {
        "miou": value(0.6, 0.8),
        "miou[road]": value(0.9, 0.97),
        "miou[pole]": value(0.4, 0.31),
        "miou[new]": MetricValue(value=0.1),
        "miou[sky]": MetricValue(value=0.5, loss=0.2),
        "miou[a[b]]": value(0.5, 0.6),
    }
    rows = [
        case(level=5, metrics=metrics),
        case(level=95, metrics={"miou": value(0.6, 1.0), "miou[road]": value(0.9, 1.0)}),
    ]
    points = [
        CurvePoint(level=row.level or 0, case=row.id, verdict="passed", metric=row.metrics["miou"]) for row in rows
    ]
    curve = Curve(model="segnet-mini", codec="jpeg", metric="miou", points=points)
    (table,) = slice_tables(Lookup(document(rows, curves=[curve])), curve)
    assert [row.name for row in table.rows] == ["pole", "a[b]", "road", "sky", "new"]
    assert table.levels == ("q95", "q5")
    html = render_html(document(rows, curves=[curve]))
    assert "miou by class or slice" in html


@pytest.mark.parametrize(("models", "limit"), [(5, 2_000_000), (50, 10_000_000)])
def test_size_and_time(models, limit, record_property):
    found = full_document(models, 3, 8)
    start = time.perf_counter()
    size = len(render_html(found).encode())
    record_property("seconds", time.perf_counter() - start)
    record_property("bytes", size)
    assert size < limit


def test_rendering_is_a_pure_function():
    found = full_document(2)
    assert render_html(found) == render_html(found)


def _themes():
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in STYLE.split("@media (prefers", 1))
    dark = dict(
        re.findall(r"--([\w-]+): (#[0-9a-f]{6})", STYLE.split("@media (prefers", 1)[1].split("*, *::before")[0])
    )
    return {"light": light, "dark": light | dark}


def _luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a, b):
    """WCAG 2.2, contrast ratio."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_meets_contrast_aa(theme):
    colours = _themes()[theme]
    pairs = [(ink, paper) for ink in ("text", "muted", "accent") for paper in ("page", "surface", "sunken")]
    pairs += [("text", "inconclusive-soft")]
    for verdict in ("passed", "failed", "inconclusive", "ungated", "error", "crashed", "not_run"):
        pairs += [(verdict, f"{verdict}-soft"), (verdict, "surface")]
    pairs += [("heat-text", f"h{shade}") for shade in range(6)] + [("heat-text-deep", f"h{shade}") for shade in (6, 7)]
    for ink, paper in pairs:
        assert _contrast(colours[ink], colours[paper]) >= 4.5, (theme, ink, paper)
    for mark in ("line", "strong"):
        assert _contrast(colours[mark], colours["surface"]) >= 3.0, (theme, mark)

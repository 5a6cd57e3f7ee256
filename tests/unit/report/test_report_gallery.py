"""Samples in the report: pictures inside the page, words for each, and nothing of what a document names elsewhere."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from documents import document
from page import Page

from pytest_lossy.report.gallery import gallery_models, picture_size
from pytest_lossy.report.html import render_html
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import GallerySample

HOSTILE = '"><img src=x onerror=alert(1)>\u202e<script>'
KINDS = ("source", "compressed", "difference", "clean_prediction", "prediction", "target")


def webp(width=8, height=6, **options):
    stream = io.BytesIO()
    picture = np.random.default_rng(width).integers(
        0, 256, (height, width, 4 if options.get("exact") else 3), dtype=np.uint8
    )
    Image.fromarray(picture).save(stream, "WEBP", **options)
    return stream.getvalue()


def sample(**changes):
    values = {
        "case": "c",
        "model": "segnet-mini",
        "codec": "jpeg",
        "level": 5,
        "sample": "street-7",
        "kind": "worst",
        "metric": "miou",
        "clean": 0.75,
        "value": 0.25,
        "gain": 4,
        "size": (256, 192),
        "window": (16, 8, 128, 96),
        "pictures": {kind: f"gallery/{kind}.webp" for kind in KINDS},
    }
    return GallerySample(**(values | changes))


def holding(*samples):
    return document().model_copy(update={"gallery": list(samples)})


def pictures():
    return {f"gallery/{kind}.webp": webp(8 + index) for index, kind in enumerate(KINDS)}


def images(page):
    return [attributes for tag, attributes in page.tags if tag == "img"]


def test_every_picture_is_inside_the_page_and_described():
    page = Page.read(render_html(holding(sample()), pictures()))
    found = images(page)
    assert len(found) == 6
    assert all(image["src"].startswith("data:image/webp;base64,") for image in found)
    assert [image["width"] for image in found] == ["8", "9", "10", "11", "12", "13"]
    assert {image["loading"] for image in found} == {"lazy"}
    for image in found:
        assert "street-7" in image["alt"]
        assert "miou 0.750 clean and 0.250 after jpeg q5" in image["alt"]
    text = " ".join(page.texts)
    assert "Lost most" in text
    assert "loss +0.500" in text
    assert "128 by 96 of 256 by 192 pixels, at 16, 8" in text
    assert sum(tag == "figure" for tag, _ in page.tags) == sum(tag == "figcaption" for tag, _ in page.tags)


def test_missing_pictures_are_said_to_be_missing():
    found = pictures()
    del found["gallery/prediction.webp"]
    page = Page.read(render_html(holding(sample()), found))
    assert len(images(page)) == 5
    assert " ".join(page.texts).count("picture is missing") == 1
    bare = Page.read(render_html(holding(sample())))
    assert images(bare) == []
    assert " ".join(bare.texts).count("picture is missing") == 6


def test_a_run_without_samples_has_no_such_section():
    assert 'id="gallery"' not in render_html(document())


@pytest.mark.parametrize("field", ["sample", "model", "codec", "metric", "case"])
def test_hostile_names_stay_text(field):
    page = Page.read(render_html(holding(sample(**{field: HOSTILE})), pictures()))
    assert len(images(page)) == 6
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert "\u202e" not in " ".join(page.texts)


def test_a_path_is_never_a_link():
    wrong = {"source": "javascript:alert(1)", "compressed": "../../etc/passwd", "target": "https://example.org/x.webp"}
    page = Page.read(render_html(holding(sample(pictures=wrong)), pictures()))
    assert images(page) == []
    assert not any(
        str(value).startswith(("javascript", "..", "https://example")) for _, a in page.tags for value in a.values()
    )


def test_models_are_folded_and_severe_levels_come_first():
    samples = [
        sample(level=30, kind="typical", value=0.7),
        sample(level=5),
        sample(model="other", codec="h264", level=23),
        sample(model="other", codec="h264", level=51),
    ]
    models = gallery_models(Lookup(holding(*samples)), {})
    assert [(model.name, [case.name for case in model.cases]) for model in models] == [
        ("segnet-mini", ["jpeg q5", "jpeg q30"]),
        ("other", ["h264 level51", "h264 level23"]),
    ]
    page = render_html(holding(*samples))
    assert page.count('<details class="samples card" open>') == 1
    assert page.count('<details class="samples card">') == 1


def test_of_an_error_a_rise_is_a_loss():
    plain = holding(sample(metric="abs_rel", clean=0.1, value=0.4), sample(clean=None, value=None))
    info = plain.models[0]
    described = info.metrics[0].model_copy(update={"name": "abs_rel", "higher_is_better": False})
    changed = plain.model_copy(
        update={"models": [info.model_copy(update={"metrics": [described], "name": "segnet-mini"})]}
    )
    shown = gallery_models(Lookup(changed), {})[0].cases[0].samples
    assert shown[0].change == "+0.300"
    assert shown[1].change == "–"  # noqa: RUF001 - an en dash is meant


@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}, {"exact": True, "quality": 80}])
@pytest.mark.parametrize("size", [(1, 1), (320, 7), (16383, 1)])
def test_sizes_are_read_from_the_header(size, options):
    assert picture_size(webp(*size, **options)) == size


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", webp()[:20], b"\xff\xd8\xff" + bytes(40), b"RIFF....WEBPVP9 " + bytes(40)]
)
def test_what_is_no_webp_has_no_size(content):
    assert picture_size(content) is None

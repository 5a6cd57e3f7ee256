"""Pictures that a results file names are read from its gallery, and nothing else is."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))

from documents import document

from pytest_lossy.results.document import GallerySample
from pytest_lossy.results.pictures import PICTURE_LIMIT, read_pictures

WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 rest"
JPEG = b"\xff\xd8\xff\xe0rest"


def naming(*names):
    keys = ("source", "compressed", "difference", "clean_prediction", "prediction", "target")
    sample = GallerySample(
        case="c",
        model="m",
        codec="jpeg",
        level=5,
        sample="s",
        kind="worst",
        metric="miou",
        clean=0.5,
        value=0.4,
        pictures=dict(zip(keys, names, strict=False)),
    )
    return document().model_copy(update={"gallery": [sample]})


def test_pictures_are_read_by_their_names(tmp_path):
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "a.webp").write_bytes(WEBP)
    (tmp_path / "gallery" / "b.jpg").write_bytes(JPEG)
    found = read_pictures(tmp_path, naming("gallery/a.webp", "gallery/b.jpg", "gallery/missing.webp"))
    assert found == {"gallery/a.webp": WEBP, "gallery/b.jpg": JPEG}


def test_no_other_file_leaves_its_place(tmp_path):
    folder = tmp_path / "report"
    (folder / "gallery").mkdir(parents=True)
    for path in (tmp_path / "secret.webp", folder / "beside.webp", folder / "gallery" / "real.webp"):
        path.write_bytes(WEBP)
    (folder / "gallery" / "link.webp").symlink_to(tmp_path / "secret.webp")
    (folder / "gallery" / "text.webp").write_text("not a picture")
    (folder / "gallery" / "huge.webp").write_bytes(WEBP.ljust(PICTURE_LIMIT + 1))
    wrong = ("../secret.webp", "gallery/../../secret.webp", "beside.webp", str(tmp_path / "secret.webp"))
    assert read_pictures(folder, naming(*wrong)) == {}
    more = (
        "gallery/link.webp",
        "gallery/text.webp",
        "gallery/huge.webp",
        "gallery/\x00.webp",
        "gallery",
        "gallery/real.webp",
    )
    assert read_pictures(folder, naming(*more)) == {"gallery/real.webp": WEBP}

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import sys
import types

import numpy as np
import pytest
import torch
import torchvision
from pydantic import BaseModel

from pytest_lossy import cli, doctor
from pytest_lossy.codecs.base import Encoded, Media, decode_lifted, encode_lifted
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.codecs.registry import CODECS, build_codec
from pytest_lossy.doctor import machine
from pytest_lossy.doctor.codecs import check_codec, check_codecs, moving_picture
from pytest_lossy.doctor.findings import Finding, exit_status, finding_lines, heading_lines, verdict_line
from pytest_lossy.errors import CodecError
from pytest_lossy.paths import CACHE_VARIABLE

QUICK = ("jpeg", "webp", "h264", "frame-drop", "resize")


def silent(_: str) -> None:
    pass


class OtherPicture(JpegCodec):
    def decode(self, encoded: Encoded):
        return 255 - super().decode(encoded)


class OtherShape(JpegCodec):
    def decode(self, encoded: Encoded):
        return super().decode(encoded)[:-1]


class Refuses(JpegCodec):
    def encode(self, media, level, *, fps=None):
        raise CodecError("refuses: the library has no encoder; install the other one")


class Asks(JpegCodec):
    class Options(BaseModel):
        device: str


class Raises(JpegCodec):
    def fingerprint(self):
        raise ZeroDivisionError("in a library")


@pytest.fixture
def registered(monkeypatch):
    def register(name, family):
        monkeypatch.setitem(CODECS.builtin, name, f"{__name__}:{family.__name__}")
        return check_codec(name)

    return register


@pytest.mark.parametrize("name", QUICK)
def test_a_working_codec_is_tried_timed_and_named(name):
    finding = check_codec(name)
    assert finding.state == "works"
    assert finding.needed
    details = finding.details
    assert details["fingerprint"] == build_codec(name).fingerprint()
    assert details["encode_ms"] > 0
    assert details["decode_ms"] > 0
    assert details["frames"] == (6 if build_codec(name).media is Media.CLIP else 1)


def test_the_reported_psnr_is_that_of_the_codecs_own_round_trip():
    codec, picture = build_codec("jpeg"), moving_picture()[0]
    decoded = decode_lifted(codec, encode_lifted(codec, picture, 95), is_clip=False)
    error = np.mean((picture.astype(float) - decoded) ** 2)
    assert check_codec("jpeg").details["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=0.01)


@pytest.mark.parametrize("name", ["chain", "command"])
def test_codecs_without_defaults_are_tried_with_an_example(name):
    finding = check_codec(name)
    assert (finding.state, finding.reason) == ("works", None)
    assert finding.summary.startswith("tried")


def test_versions_are_shown_and_options_are_not():
    summary = check_codec("h264").summary
    assert "libx264" in summary
    assert "preset" not in summary
    assert "pinned" not in summary


@pytest.mark.parametrize(
    ("family", "said"),
    [
        (OtherPicture, "another picture"),
        (OtherShape, "(479, 640, 3)"),
        (Refuses, "refuses: the library has no encoder"),
        (Raises, "ZeroDivisionError: in a library"),
    ],
)
def test_a_broken_codec_of_ours_fails_the_whole(registered, family, said):
    finding = registered("fake", family)
    assert finding.state == "broken"
    assert said in (finding.reason or "")
    assert finding.action
    assert exit_status([finding]) == 1
    assert "fake" in verdict_line([finding])


def test_a_codec_whose_options_only_a_user_knows_is_not_tried(registered):
    finding = registered("fake", Asks)
    assert (finding.state, exit_status([finding])) == ("untested", 0)
    assert "device" in (finding.reason or "")


def test_the_next_action_of_our_messages_is_kept(registered):
    assert registered("fake", Refuses).action == "install the other one"


def test_a_broken_hardware_encoder_is_absent(registered):
    finding = registered("fake-nvenc", Refuses)
    assert (finding.state, exit_status([finding])) == ("absent", 0)
    assert "GPU" in (finding.action or "")


def test_an_extra_that_is_not_installed_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)  # importing it raises ImportError
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imagecodecs" else real(name))
    finding = check_codec("jxl")
    assert (finding.state, exit_status([finding])) == ("absent", 0)
    assert "pip install 'pytest-lossy[jxl]'" in (finding.action or "")


def test_an_extra_that_is_installed_and_broken_fails_the_whole(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    if importlib.machinery.PathFinder.find_spec("imagecodecs") is None:
        pytest.skip("imagecodecs is not installed")
    monkeypatch.setattr(importlib.util, "find_spec", importlib.machinery.PathFinder.find_spec)
    finding = check_codec("jxl")
    assert (finding.state, exit_status([finding])) == ("broken", 1)


def test_another_packages_codec_that_cannot_be_imported_does_not_fail_the_whole(monkeypatch):
    point = importlib.metadata.EntryPoint("theirs", "no_such_package:Codec", "pytest_lossy.codecs")
    monkeypatch.setitem(CODECS.third_party, "theirs", point)
    (finding,) = check_codecs(silent, ["theirs"])
    assert (finding.state, exit_status([finding])) == ("broken", 0)
    assert "no_such_package" in (finding.reason or "")


def test_what_is_tried_is_said_before_it_is():
    said = []
    for finding in check_codecs(said.append, ["jpeg", "resize"]):
        assert said[-1] == finding.name


def test_the_moving_picture_moves():
    clip = moving_picture()
    assert clip.shape == (6, 480, 640, 3)
    assert np.array_equal(clip[1, :-2, :-1], clip[0, 2:, 1:])


def test_torch_and_torchvision_fit():
    torch_finding, gpus = list(machine.check_torch())
    assert torch_finding.state == "works"
    assert torch_finding.details["torchvision"] == torchvision.__version__
    assert gpus.state == ("works" if torch.cuda.is_available() else "absent")


def test_torch_and_torchvision_that_do_not_fit(monkeypatch):
    broken = types.ModuleType("torchvision")
    broken.__version__ = "0.0"
    monkeypatch.setitem(sys.modules, "torchvision", broken)
    (finding,) = machine.check_torch()
    assert (finding.state, exit_status([finding])) == ("broken", 1)
    assert "matching pair" in (finding.action or "")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    (finding,) = machine.check_torch()
    assert (finding.state, finding.needed) == ("broken", True)


def test_packages_that_are_too_old_or_absent_are_named_with_what_to_install(monkeypatch):
    asked = [
        "numpy>=999",
        "nothing-of-the-kind>=1",
        "torch>=1",
        "extra-only>=9; extra == 'x'",
        "old; python_version < '3'",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: asked)
    found = {finding.name: finding for finding in machine.check_versions()}
    assert set(found) == {"numpy", "nothing-of-the-kind"}
    assert found["numpy"].action == "pip install --upgrade 'numpy>=999'"
    assert found["nothing-of-the-kind"].reason == "nothing-of-the-kind is not installed"
    assert exit_status(found.values()) == 1


def test_this_environment_is_recent_enough():
    assert [finding.state for finding in machine.check_versions()] == ["works"]


def test_a_torchvision_of_another_torch_is_named(monkeypatch):
    assert machine._mismatch() is None
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy", "torch==1.0.0"])
    assert "was built for torch==1.0.0, and torch is" in (machine._mismatch() or "")
    torch_finding = next(finding for finding in machine.check_torch() if finding.name == "torch")
    assert "matching pair" in (torch_finding.action or "")


class Gpu:
    """What torch says of one GPU."""

    name, total_memory = "Pretend 9000", 8 * 2**30


def test_a_gpu_without_kernels_is_broken(monkeypatch):
    machine._compute(torch, "cpu")  # the same sums, on what every machine has
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: Gpu)
    tried = []
    monkeypatch.setattr(machine, "_compute", lambda torch, device: tried.append(device))
    finding = machine._gpus(torch)
    assert (finding.state, finding.summary, tried) == ("works", "Pretend 9000 (8 GiB)", ["cuda:0"])

    def no_kernel(torch, device):
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(machine, "_compute", no_kernel)
    finding = machine._gpus(torch)
    assert (finding.state, exit_status([finding])) == ("broken", 1)
    assert "no kernel image" in (finding.reason or "")
    assert "--lossy-device=cpu" in (finding.action or "")


def test_a_cache_folder_is_not_made(tmp_path):
    (finding,) = machine.check_cache(tmp_path / "a" / "media")
    assert (finding.state, finding.details["entries"]) == ("works", 0)
    assert not list(tmp_path.iterdir())


def test_a_cache_that_is_a_file_is_broken_and_not_needed(tmp_path):
    (tmp_path / "media").write_bytes(b"")
    (finding,) = machine.check_cache(tmp_path / "media")
    assert (finding.state, exit_status([finding])) == ("broken", 0)
    assert "--lossy-cache" in (finding.action or "")


def test_lines_fit_eighty_columns():
    text = "what a long story this is, and it has many words, " * 5
    details = {"encode_ms": 1234.56, "decode_ms": 0.04}
    for area in ("machine", "codec", "spec"):
        for state in ("works", "absent", "untested", "broken"):
            lines = heading_lines(area) + finding_lines(Finding(area, "packet-loss", state, text, details, text, text))
            assert max(map(len, lines)) <= 80
            assert " ".join(text.split()) in " ".join(" ".join(lines).split())


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, "no-such-folder")

    def diagnose(progress):
        yield from machine.check_cache()
        yield from check_codecs(progress, ["jpeg", "resize"])

    monkeypatch.setattr(doctor, "diagnose", diagnose)


def test_the_command_prints_a_table(few, capsys):
    assert cli.main(["doctor", "--no-specs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("jpeg", "resize"))] == [
        ["jpeg", "works"],
        ["resize", "works"],
    ]
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "3 works; all that is needed works"


def test_the_command_speaks_json(few, capsys):
    assert cli.main(["doctor", "--json", "--no-specs"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["status"] == 0
    assert [finding["name"] for finding in found["findings"]] == ["cache", "jpeg", "resize"]
    assert found["findings"][1]["details"]["fingerprint"] == build_codec("jpeg").fingerprint()


def test_the_command_fails_where_a_codec_is_broken(registered, few, monkeypatch, capsys):
    registered("jpeg", Raises)
    assert cli.main(["doctor", "--no-specs"]) == 1
    assert "repair: jpeg" in capsys.readouterr().out


def test_the_whole_diagnosis_names_every_codec_and_the_pair():
    names = [finding.name for finding in doctor.diagnose(silent, codecs=["jpeg"])]
    assert names[-1] == "jpeg"
    wanted = {"python", "packages", "processor", "versions", "PyAV", "torch", "GPUs", "extras", "cache"}
    assert wanted < set(names)

"""Chains in specs: the long form, the short form, and mistakes with their lines."""

from __future__ import annotations

from pathlib import Path

from spec_files import GOOD, index, refused

CLIPS = GOOD.replace("  factory: ./data.py:make\n", "  factory: ./data.py:make\n  media: clips\n")


def with_codecs(codecs: str, text: str = CLIPS) -> str:
    return text.replace('  jpeg-444: {codec: jpeg, subsampling: "4:4:4", levels: [75]}\n', codecs)


def test_the_short_form_is_one_level_of_the_last_step(tmp_path: Path) -> None:
    spec = index(tmp_path, with_codecs("  chain: [resize 0.5, jpeg 80, h264 35]\n"))
    plan = spec.plans[-1]
    assert (plan.label, plan.codec_name, plan.parameter, plan.levels) == ("chain", "chain", "crf", (35.0,))
    assert spec.cases()[-1].name == "chain-crf35"


def test_the_short_form_sweeps_the_step_without_a_level(tmp_path: Path) -> None:
    plan = index(tmp_path, with_codecs("  chain: [jpeg 80, jpeg]\n")).plans[-1]
    assert plan.parameter == "q"
    assert plan.levels == (95, 75, 50, 30, 15, 10, 5)


def test_the_long_form_has_its_own_label_and_levels(tmp_path: Path) -> None:
    plan = index(tmp_path, with_codecs("  twice: {codec: chain, steps: [jpeg 80, h264], levels: [45, 23]}\n")).plans[-1]
    assert (plan.label, plan.parameter, plan.levels) == ("twice", "crf", (23, 45))


def test_mistakes_have_their_line(tmp_path: Path) -> None:
    [problem] = refused(tmp_path, with_codecs("  chain: [resize 0.5, jpg 80]\n"))
    assert "net.yaml:14" in problem
    assert "did you mean 'jpeg'" in problem

"""``pytest-lossy init``: what it chooses, what it writes, what it leaves alone; and that what it writes runs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pytest_lossy import cli
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.errors import LossyError, MissingInputError
from pytest_lossy.first_steps import command, sample
from pytest_lossy.first_steps.choices import TASKS, Wishes
from pytest_lossy.first_steps.command import InitOptions, init
from pytest_lossy.first_steps.dialogue import ask_choice, ask_yes
from pytest_lossy.first_steps.drafts import scalar
from pytest_lossy.first_steps.sample import sample_files
from pytest_lossy.paths import CACHE_VARIABLE
from pytest_lossy.specs.index import find_specs, index_specs
from pytest_lossy.thresholds.reader import load_thresholds
from tests.unit.first_steps import repositories as made


def run(root: Path, wishes: Wishes | None = None, **options: bool) -> str:
    said: list[str] = []
    assert init(root, InitOptions(wishes or Wishes(), **options), said.append) == 0
    return "\n".join(said)


def snapshot(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def specs_of(root: Path, folder: str = "model_specs"):
    return {spec.name: spec for spec in index_specs(find_specs(root / folder), root)}


def thresholds_of(root: Path):
    path = root / "thresholds.yaml"
    return load_thresholds(path, path.relative_to(root), metrics=None, labels={"jpeg", "h264"})


@pytest.mark.parametrize("task", TASKS)
def test_in_an_empty_folder_a_draft_of_every_task_says_what_is_missing(task, tmp_path):
    text = run(tmp_path, Wishes(task=task))
    specs = specs_of(tmp_path)
    assert set(specs) == {"my-model", "sample-segnet"}
    assert specs["my-model"].spec.task == task
    assert len(thresholds_of(tmp_path).rules) > 0
    with pytest.raises(
        MissingInputError, match=r"(?s)complete build\(\) in .*my_model.py and 'data' in .*my-model.yaml"
    ):
        ModelRuntime.load(specs["my-model"], RuntimeOptions(device=("cpu",)))
    assert "pytest --lossy-codec=jpeg " in text


def test_the_sample_runs_and_meets_its_gates(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    run(tmp_path)
    spec = specs_of(tmp_path)["sample-segnet"]
    runtime = ModelRuntime.load(spec, RuntimeOptions(device=("cpu",), samples=2))
    try:
        evidence = runtime.pipeline.evaluate(None, None)
        assert len(evidence.ids) == 2
    finally:
        runtime.close()
    assert {case.level for case in spec.cases()} == {None, 95, 50, 15, 5}
    for case in spec.cases():
        assert thresholds_of(tmp_path).gates_for(case, "miou", {"miou": True})


def test_a_draft_whose_data_are_there_names_the_function_to_complete(tmp_path):
    made.class_folders(tmp_path)
    run(tmp_path)
    spec = specs_of(tmp_path)["my-model"]
    assert (spec.spec.task, spec.spec.requires) == ("classification", "optional")
    with pytest.raises(MissingInputError, match=r"model_specs/my_model.py: build\(\) is a draft; return your network"):
        ModelRuntime.load(spec, RuntimeOptions(device=("cpu",)))


@pytest.mark.parametrize("name", made.LAYOUTS)
def test_a_spec_of_found_data_and_model_is_no_draft(name, tmp_path):
    build, task = made.LAYOUTS[name]
    build(tmp_path)
    made.write(tmp_path, "export/net.onnx")
    run(tmp_path, Wishes(task=task), ci=False)
    spec = specs_of(tmp_path)["net"].spec
    assert (spec.task, spec.model.onnx, spec.requires) == (task, "../export/net.onnx", "needed")
    assert spec.data.name in {known for known, (_, of) in made.LAYOUTS.items() if of == task}


def test_the_own_network_of_a_repository_runs(tmp_path):
    """Found builder, found weights, found data: the written spec needs no edit."""
    made.label_images(tmp_path)
    made.write(
        tmp_path,
        "src/net.py",
        "import torch\ndef build() -> torch.nn.Module:\n    return torch.nn.Conv2d(3, 4, 1)\n",
    )
    import safetensors.torch
    import torch

    (tmp_path / "out").mkdir()
    safetensors.torch.save_file(torch.nn.Conv2d(3, 4, 1).state_dict(), tmp_path / "out" / "net.safetensors")
    text = run(tmp_path)
    assert "pytest-lossy doctor" in text
    spec = specs_of(tmp_path)["net"]
    assert spec.spec.model.weights == "../out/net.safetensors"
    runtime = ModelRuntime.load(spec, RuntimeOptions(device=("cpu",)))
    assert len(runtime.pipeline.evaluate(None, None).ids) == 1
    runtime.close()


def test_images_without_labels_are_left_out_and_counted(tmp_path):
    made.label_images(tmp_path)
    made.picture(tmp_path, "plants/images/val/b.jpg")
    text = run(tmp_path)
    assert "plants/masks/val, 1 of 2 images without" in text
    spec = specs_of(tmp_path)["my-model"].spec
    assert spec.data.kwargs["missing_labels"] == "skip"
    assert spec.data.kwargs["classes"] == ["background", "class-1", "class-2", "class-3"]


def test_many_class_names_are_folded(tmp_path):
    made.picture(tmp_path, "x/images/a.jpg")
    made.write(tmp_path, "x/labels/a.txt", "79 0.5 0.5 0.1 0.1\n")
    run(tmp_path)
    path = tmp_path / "model_specs" / "my-model.yaml"
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 125
    assert specs_of(tmp_path)["my-model"].spec.data.kwargs["classes"] == [f"class-{n}" for n in range(80)]


def test_everything_that_is_there_is_kept_unless_forced(tmp_path):
    made.write(tmp_path, "thresholds.yaml", "version: 1\nmodels: {}\n")
    made.write(tmp_path, ".github/workflows/lossy.yml", "mine\n")
    text = run(tmp_path)
    assert (tmp_path / "thresholds.yaml").read_text(encoding="utf-8") == "version: 1\nmodels: {}\n"
    assert "thresholds.yaml" in text
    assert "exists and is kept; --force replaces it" in text
    run(tmp_path, force=True)
    assert (tmp_path / ".github/workflows/lossy.yml").read_text(encoding="utf-8") != "mine\n"


def test_a_second_init_changes_nothing(tmp_path):
    run(tmp_path)
    before = snapshot(tmp_path)
    text = run(tmp_path)
    assert snapshot(tmp_path) == before
    assert "Wrote" not in text


def test_an_interrupted_init_continues(tmp_path, monkeypatch):
    real = command._write
    written: list[Path] = []

    def fails_at_the_fourth(path: Path, content: bytes) -> None:
        written.append(path)
        if len(written) == 4:
            raise KeyboardInterrupt
        real(path, content)

    monkeypatch.setattr(command, "_write", fails_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    monkeypatch.setattr(command, "_write", real)
    run(tmp_path)
    (tmp_path / "other").mkdir()
    run(tmp_path / "other")
    whole = snapshot(tmp_path / "other")
    assert {name: data for name, data in snapshot(tmp_path).items() if not name.startswith("other/")} == whole


def test_a_dry_run_shows_all_and_writes_nothing(tmp_path):
    made.write(tmp_path, "pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-q'\n")
    before = snapshot(tmp_path)
    text = run(tmp_path, dry_run=True)
    assert snapshot(tmp_path) == before
    for line in ("name: my-model", "version: 1", '+lossy_specs = "model_specs"', "856,654 bytes", "runs-on:"):
        assert line in text


def test_folders_of_the_configuration_are_used(tmp_path):
    made.write(tmp_path, "pytest.ini", "[pytest]\nlossy_specs = quality/specs\nlossy_thresholds = quality/gates.yaml\n")
    made.class_folders(tmp_path / "data")
    run(tmp_path)
    spec = specs_of(tmp_path, "quality/specs")["my-model"].spec
    assert spec.data.kwargs["root"] == "../../data/pets/val"
    assert (tmp_path / "quality/gates.yaml").is_file()
    assert not (tmp_path / "pyproject.toml").exists()


def test_specs_that_are_there_need_no_sample(tmp_path):
    made.write(tmp_path, "model_specs/mine.yaml", "task: depth\n")
    run(tmp_path)
    assert sorted(path.name for path in (tmp_path / "model_specs").iterdir()) == ["mine.yaml"]
    assert thresholds_of(tmp_path).rules == ()
    run(tmp_path, Wishes(sample=True))
    assert (tmp_path / "model_specs/sample.yaml").is_file()


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(task="segmentaton"), "--task: unknown task 'segmentaton'; did you mean 'segmentation'"),
        (Wishes(name="a b"), "--name: 'a b' is no model name"),
        (Wishes(model="nothing.onnx"), "--model: nothing.onnx: no such file"),
        (Wishes(model="weights.pth"), "--model: weights.pth holds weights and no architecture"),
        (Wishes(model="no_such_net"), "--model: 'no_such_net' is no model file"),
        (Wishes(model="a-b:c"), "--model: 'a-b:c' is neither"),
        (Wishes(data="nowhere"), "--data: nowhere: no such file or folder"),
        (Wishes(data="empty"), "--data: empty holds no layout that is known"),
        (Wishes(data="pets", task="depth"), "--data: pets holds data for classification, not for depth"),
        (Wishes(data="pets", model="fcn_resnet50"), "--model: .* is for segmentation, the data are for classification"),
    ],
)
def test_a_wrong_flag_is_explained_and_nothing_is_written(wishes, message, tmp_path):
    made.class_folders(tmp_path)
    made.write(tmp_path, "weights.pth")
    (tmp_path / "empty").mkdir()
    before = snapshot(tmp_path)
    with pytest.raises(LossyError, match=message):
        run(tmp_path, wishes)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("model", "key", "value"),
    [
        ("net.py:make", "torch", "../net.py:make"),
        ("package.nets:make", "torch", "package.nets:make"),
        ("fcn_resnet50", "torchvision", "fcn_resnet50"),
        ("m.tflite", "litert", "../m.tflite"),
    ],
)
def test_the_model_flag_in_all_its_forms(model, key, value, tmp_path):
    made.write(tmp_path, "net.py")
    made.write(tmp_path, "m.tflite")
    run(tmp_path, Wishes(model=model, name="mine"))
    assert getattr(specs_of(tmp_path)["mine"].spec.model, key) == value


def test_a_file_in_the_way_or_no_folder_is_one_error(tmp_path):
    (tmp_path / "thresholds.yaml").mkdir()
    with pytest.raises(LossyError, match=r"thresholds.yaml: is a folder"):
        run(tmp_path)
    assert not (tmp_path / "model_specs").exists()
    with pytest.raises(LossyError, match="no such folder"):
        run(tmp_path / "nowhere")


def test_questions_are_asked_with_the_likeliest_answer_first(tmp_path):
    made.class_folders(tmp_path)
    made.coco(tmp_path)
    made.write(tmp_path, "nets/movenet.onnx")
    made.write(tmp_path, "nets/yolo.onnx")
    asked: list[tuple[str, str]] = []

    def ask(question, answers):
        asked.append((question, answers[0]))
        return len(answers) - 1 if question == "Which model?" else 0

    said: list[str] = []
    assert init(tmp_path, InitOptions(Wishes()), said.append, ask, lambda _: True) == 0
    assert [question for question, _ in asked] == ["What does your model do?", "Which model?", "Which data?"]
    assert asked[0][1] == "detection"
    assert asked[1][1] == "ONNX file nets/yolo.onnx"
    assert specs_of(tmp_path)["my-model"].spec.model.torch == "./my_model.py:build"


def test_who_does_not_agree_gets_nothing(tmp_path):
    assert init(tmp_path, InitOptions(Wishes()), lambda _: None, None, lambda _: False) == 1
    assert not snapshot(tmp_path)


def test_answers_at_a_terminal(monkeypatch, capsys):
    def typed(*lines):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    typed("9", "po")
    assert ask_choice("Task?", ["depth", "pose"]) == 1
    assert "'9' is none of them" in capsys.readouterr().out
    typed("")
    assert ask_choice("Task?", ["depth", "pose"]) == 0
    typed("perhaps", "No")
    assert not ask_yes("Write?")
    typed()
    with pytest.raises(LossyError, match="nothing was written"):
        ask_yes("Write?")


def test_the_command_without_a_terminal_asks_nothing(tmp_path, capsys):
    assert cli.main(["init", str(tmp_path), "--no-ci"]) == 0
    assert "Wrote 7 files" in capsys.readouterr().out
    assert not (tmp_path / ".github").exists()
    assert cli.main(["init", str(tmp_path), "--task", "x"]) == 1
    assert "unknown task 'x'" in capsys.readouterr().err


def test_the_workflow_is_valid_and_uses_the_report_folder(tmp_path):
    made.write(
        tmp_path, "pyproject.toml", "[project]\nname = 'x'\n[tool.pytest.ini_options]\nlossy_report = 'out/lossy'\n"
    )
    run(tmp_path)
    text = (tmp_path / ".github/workflows/lossy.yml").read_text(encoding="utf-8")
    steps = YAML(typ="safe").load(text)["jobs"]["lossy"]["steps"]
    assert "pip install . pytest-lossy" in [step.get("run") for step in steps]
    assert steps[-1]["with"]["path"] == "out/lossy"
    assert "key: lossy-${{ github.run_id }}" in text


@pytest.mark.parametrize(
    "text", ["a b", "yes", "1.5", "null", "é", "a: b", "#x", "x #y", "*a", "1e3", ".5", '"q"', "2020-01-01"]
)
def test_text_stays_text_in_yaml(text):
    assert YAML(typ="safe").load(f"key: {scalar(text)}") == {"key": text}


def test_the_sample_comes_from_the_package_or_the_checkout(tmp_path):
    checkout = sample_files((sample._CHECKOUT,))
    (tmp_path / "segnet.py").write_bytes(checkout.network)
    (tmp_path / "segnet-mini.safetensors").write_bytes(checkout.weights)
    assert sample_files((tmp_path, sample._CHECKOUT)) == checkout
    with pytest.raises(LossyError, match="lacks the sample; reinstall"):
        sample_files((tmp_path / "nowhere",))


def test_the_weights_of_the_sample_are_those_that_the_reference_suite_pins():
    pinned = YAML(typ="safe").load((sample._CHECKOUT / "segnet-mini.yaml").read_text(encoding="utf-8"))
    assert sample_files().sha256 == pinned["model"]["sha256"]
    template = (Path(command.__file__).parent / "templates" / "sample.yaml.j2").read_text(encoding="utf-8")
    for key in ("mean", "std"):
        assert f"{key}: [{', '.join(map(str, pinned['model']['input'][key]))}]" in template

"""`equidiff rank`: scanning, going on, showing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from running import assert_one_error, run_cli
from safetensors.torch import save_file

import equidiff
from equidiff.builtin.objectives.descriptors import NeuronOptions
from equidiff.builtin.objectives.neuron import build
from equidiff.contracts import BuildContext
from equidiff.errors import RunFolderError, SpecError, UnknownNameError, UnsupportedError, UsageError
from equidiff.images.convert import image_to_tensor
from equidiff.networks.fashion import CLASSES, FashionNet
from equidiff.rank import Plan, Ranking, begin, rank, resume
from equidiff.rank import folder as rankfolder
from equidiff.rank.scores import summarize
from equidiff.registry.specs import Spec

QUERIES = Path(equidiff.__file__).parent / "queries" / "fashion"
ORDER = (1, 2, 3, 8, 4, 5, 6, 7, 0, 9)  # the classes of the query images
DATA = Path(__file__).parents[3] / "shared" / "data"
MOBILENET = DATA / "mobilenetv2_100_imagenet.safetensors"
needs_data = pytest.mark.skipif(not MOBILENET.is_file(), reason="../shared/data is not there")


@pytest.fixture
def garments(tmp_path):
    """Twenty garments whose file names begin with their class."""
    folder = tmp_path / "garments"
    folder.mkdir()
    for path in QUERIES.glob("*.png"):
        shutil.copy(path, folder / f"{ORDER[int(path.stem) % 10]}_{path.name}")
    return folder


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(rankfolder, "CHUNK_SIZE", 6)


def plan(garments, **more):
    return Plan(images=str(garments), batch=4, device="cpu", **more)


def measured(unit, folder, image):
    """The activation of a unit as its own spec, the objective, measures it."""
    spec = Spec.parse(unit.spec)
    objective = build(spec.argument, NeuronOptions(**spec.options), BuildContext())
    with Image.open(folder / image) as opened:
        return objective.measure(image_to_tensor(opened)).item()


@pytest.mark.parametrize("layer", [None, "block2", "block2.0,positions=max", "head"])
def test_activations_are_those_of_the_objective(layer, garments, tmp_path):
    found = rank(plan(garments, layer=layer, top=3), tmp_path / "out")
    for unit in (found.units[0], found.units[7]):
        assert len(unit.top) == 3
        for image in unit.top:
            assert image.activation == pytest.approx(measured(unit, garments, image.image), abs=1e-5)


@pytest.mark.parametrize("layer", ["blocks.0,tokens=cls", "blocks.1,tokens=max", "blocks.1", "patch_embed"])
def test_tokens(layer, garments, tmp_path):
    path = tmp_path / "vit.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), path)
    found = rank(plan(garments, model=f"test_vit,checkpoint={path}", layer=layer, top=2), tmp_path / "out")
    for image in found.units[5].top:
        assert image.activation == pytest.approx(measured(found.units[5], garments, image.image), abs=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_what_the_folder_holds(garments, tmp_path):
    found = rank(plan(garments, top=4), tmp_path / "out")
    info = json.loads((tmp_path / "out" / "rank.json").read_text())
    assert (info["status"], info["schema_version"]) == ("complete", 1)
    assert info["counts"] == {"images": 20, "scanned": 20, "broken": 0}
    assert info["classes"] == sorted(CLASSES)  # the leading numbers, by the network's own names
    assert info["weights"][0]["name"] == "fashion_classifier.safetensors"
    assert len(list((tmp_path / "out" / "activations").iterdir())) == 4
    assert not list((tmp_path / "out").rglob("*.part"))
    again = Ranking.load(tmp_path / "out")
    assert again.units == found.units
    values = torch.cat(list(found.folder.activations()))
    labels = [info["classes"].index(file.label) for file in found.folder.images]
    expected = summarize([values], labels, 10, 4)
    tensors = found.folder.read_tensors()
    for name, value in vars(expected).items():
        torch.testing.assert_close(tensors[name], value)
    unit = found.units[11]
    assert unit.best_class == info["classes"][int(expected.class_means[11].argmax())]
    assert unit.top[0].image == found.folder.images[int(values[:, 11].argmax())].path
    assert unit.top[0].activation == unit.max == values[:, 11].max().item()


def test_orders(garments, tmp_path):
    found = rank(plan(garments), tmp_path / "out")
    by_max = found.best(128, "max")
    assert [unit.max for unit in by_max] == sorted((unit.max for unit in found.units), reverse=True)
    assert found.best(3) == found.best(3, "selectivity") == found.best(128, "selectivity")[:3]
    entropies = [unit.entropy for unit in found.best(128, "entropy")]
    assert entropies == sorted(entropies)
    bags = found.for_class("bag", 128)
    values = [value for _, value in bags]
    assert values == sorted(values, reverse=True)
    for unit, value in bags:
        assert (value == pytest.approx(unit.selectivity)) == (unit.best_class == "bag")
    with pytest.raises(UnknownNameError, match="bag"):
        found.for_class("bags", 1)
    with pytest.raises(UsageError, match="alignment"):
        found.best(3, "alignment")


def test_units_that_are_never_active_come_last(garments, tmp_path):
    network = FashionNet()
    torch.manual_seed(0)
    with torch.no_grad():
        network.block3[1][1].weight[5] = 0
        network.block3[1][1].bias[5] = -1
    path = tmp_path / "dead.safetensors"
    save_file(network.state_dict(), path)
    found = rank(plan(garments, model=f"fashion,checkpoint={path}"), tmp_path / "out")
    dead = found.units[5]
    assert (dead.max, dead.active, dead.sparsity) == (0, 0, 0)
    assert dead.best_class is dead.selectivity is dead.entropy is None
    for sort in ("selectivity", "sparsity", "entropy", "mean"):
        assert found.best(128, sort)[-1] is dead


@pytest.mark.usefixtures("small_chunks")
def test_a_scan_that_was_interrupted_goes_on_to_the_same_end(garments, tmp_path):
    whole = rank(plan(garments), tmp_path / "whole")
    scan = begin(plan(garments), tmp_path / "parts")

    def stop(done, _state):
        if done >= 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan.run(stop)
    info = rankfolder.read_rank_info(tmp_path / "parts")
    assert (info["status"], info["counts"]["scanned"]) == ("interrupted", 12)
    with pytest.raises(RunFolderError, match="did not finish"):
        Ranking.load(tmp_path / "parts")
    seen = []
    found = resume(tmp_path / "parts").run(lambda done, _state: seen.append(done))
    assert seen[0] == 16
    assert seen[-1] == 20
    assert found.units == whole.units
    assert found.folder.info["wall_s"] >= info["wall_s"]


@pytest.mark.usefixtures("small_chunks")
def test_a_killed_scan_reads_as_running(garments, tmp_path):
    scan = begin(plan(garments), tmp_path / "out")

    def die(done, _state):
        if done >= 8:
            raise MemoryError

    with pytest.raises(MemoryError):
        scan.run(die)
    assert rankfolder.read_rank_info(tmp_path / "out")["status"] == "running"
    assert len(resume(tmp_path / "out").run().units) == 128


def test_nothing_may_change_before_a_scan_goes_on(garments, tmp_path):
    weights = tmp_path / "own.safetensors"
    torch.manual_seed(0)
    save_file(FashionNet().state_dict(), weights)
    begin(plan(garments, model=f"fashion,checkpoint={weights}"), tmp_path / "out")
    (garments / "3_new.png").write_bytes((QUERIES / "03.png").read_bytes())
    with pytest.raises(RunFolderError, match=r"images have changed.*relabelled: 1\."):
        resume(tmp_path / "out")
    (garments / "3_new.png").unlink()
    assert resume(tmp_path / "out").folder.missing()
    save_file(FashionNet().state_dict(), weights)
    with pytest.raises(RunFolderError, match="weights have changed"):
        resume(tmp_path / "out")


@pytest.mark.parametrize("model", ["module:evil.py:build", "module:evil.py:build,size=28"])
def test_a_network_that_is_code_is_named_again(model, garments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin(plan(garments), tmp_path / "out")
    (tmp_path / "evil.py").write_text("open('was-run', 'w').close()\nbuild = None\n")
    file = tmp_path / "out" / "rank.json"
    info = json.loads(file.read_text())
    info["settings"]["model"] = model
    file.write_text(json.dumps(info))
    resumed = ("rank", "--resume", tmp_path / "out", "-q")
    assert_one_error(run_cli(*resumed), 1, "would be executed")
    assert_one_error(run_cli(*resumed, "--model", "fashion"), 2, "keeps its network")
    assert not (tmp_path / "was-run").exists()
    run_cli(*resumed, "--model", model)
    assert (tmp_path / "was-run").exists()


@pytest.mark.usefixtures("small_chunks")
def test_broken_images_are_counted_and_named(garments, tmp_path):
    (garments / "1_00.png").write_bytes(b"")
    (garments / "9_19.png").write_text("no image")
    Image.new("RGBA", (9, 9)).save(garments / "4_alpha.png")
    outcome = run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    assert outcome.code == 0
    info = rankfolder.read_rank_info(outcome.path)
    assert info["counts"] == {"images": 21, "scanned": 21, "broken": 3}
    assert set(info["broken"]) == {"1_00.png", "9_19.png", "4_alpha.png"}
    assert "1_00.png: The image is an empty file." in outcome.stderr
    assert "18 images" in outcome.stderr
    shown = {image.image for unit in Ranking.load(outcome.path).units for image in unit.top}
    assert not shown & set(info["broken"])
    broken = next(outcome.path.glob("activations/00000*"))
    assert broken.stat().st_size > 0


def test_all_images_broken(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    outcome = run_cli("rank", "--images", tmp_path / "images", "--out", tmp_path / "out")
    assert_one_error(outcome, 1, "None of the 1 images", "empty file")


# as a user types it


def test_the_command(garments, tmp_path):
    outcome = run_cli("rank", "--images", garments, "--units", "3", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.stderr
    assert outcome.path == tmp_path / "out"
    best = Ranking.load(outcome.path).best(3)
    lines = outcome.stderr.splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("unit "))
    assert [int(line.split()[0]) for line in lines[header + 1 : header + 4]] == [unit.index for unit in best]
    assert best[0].spec in outcome.stderr
    with Image.open(outcome.path / "top.png") as image:
        assert image.width > 8 * 112
        assert image.height > 3 * 112
    # the command that it proposes works
    proposed = ("-o", best[0].spec, "--query", f"top:{outcome.path}")
    run = run_cli(
        "run", *proposed, "-n", "1", "--budget", "1", "-r", "none", "-s", "infinite", "--out", tmp_path / "run"
    )
    assert run.code in (0, 3), run.stderr
    target = json.loads((run.path / "run.json").read_text())["target"]
    assert target["source"] == str(garments / best[0].top[0].image)
    assert target["values"][0] == pytest.approx(best[0].max, abs=1e-5)


def test_a_finished_scan_is_shown_again_in_another_order(garments, tmp_path):
    run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    before = (tmp_path / "out" / "units.jsonl").stat().st_mtime_ns
    outcome = run_cli("rank", "--resume", tmp_path / "out", "--classes", "bag, trouser", "--units", "2")
    assert outcome.code == 0, outcome.stderr
    found = Ranking.load(outcome.path)
    for label in ("bag", "trouser"):
        for unit, value in found.for_class(label, 2):
            assert any(
                line.split()[:3] == [str(unit.index), label, f"{value:.3f}"] for line in outcome.stderr.splitlines()
            )
    assert (outcome.path / "units.jsonl").stat().st_mtime_ns == before


def test_json(garments, tmp_path):
    outcome = run_cli("rank", "--images", garments, "--json", "-q", "--out", tmp_path / "out")
    assert outcome.stderr == ""
    assert json.loads(outcome.stdout) == rankfolder.read_rank_info(tmp_path / "out")


def test_the_default_folder_has_the_model_and_the_layer_in_its_name(garments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("rank", "--images", garments, "--layer", "block1")
    assert outcome.path.parent == Path("rankings")
    assert outcome.path.name.endswith("fashion-block1")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, ["--images FOLDER"]),
        (["--images", "nowhere"], 1, ["does not exist"]),
        (["--images", "{garments}", "--layer", "block9"], 1, ["block9", "block1"]),
        (["--images", "{garments}", "--layer", "block1,positions=all"], 2, ["positions"]),
        (["--images", "{garments}", "--layer", "head,positions=max"], 2, ["has no positions"]),
        (["--images", "{garments}", "--layer", "block1,position=max"], 2, ["--layer block1,positions=max"]),
        (["--images", "{garments}", "--model", "fashoin"], 1, ["fashion"]),
        (["--images", "{garments}", "--model", "fashion,chekpoint=x"], 2, ["--model fashion,checkpoint=x"]),
        (["--images", "{garments}", "--model", "fashion,model=x"], 2, ["model"]),
        (["--images", "{garments}", "--model", "fashion,checkpoint=x"], 1, ["does not exist"]),
        (["--images", "{garments}", "--model", "circles"], 1, ["circles takes no images"]),
        (["--images", "{garments}", "--batch", "0"], 2, ["batch"]),
        (["--images", "{garments}", "--device", "abacus"], 2, ["--device cpu"]),
        (["--images", "{garments}", "--units", "0"], 2, ["units"]),
        (["--images", "{garments}", "--sort", "beauty"], 2, ["selectivity"]),
        (["--images", "{garments}", "--clip", "ViT-B-32"], 2, ["--concepts FILE"]),
        (["--images", "{garments}", "--out", "{garments}"], 1, ["exists already"]),
        (["--resume", "{garments}"], 1, ["rank.json"]),
        (["--resume", "{garments}", "--top", "3"], 2, ["--top", "equidiff rank --resume"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else str(value),
)
def test_bad_input(arguments, code, words, garments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("rank", *(argument.replace("{garments}", str(garments)) for argument in arguments))
    assert_one_error(outcome, code, *words)
    assert not (tmp_path / "rankings").exists()


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ("--classes=zebra", 1, ["zebra", "ankle-boot"]),
        ("--sort=alignment", 2, ["--concepts FILE"]),
        ("--sort=entropy", 2, ["labels"]),
    ],
)
def test_what_cannot_be_shown_is_said_before_the_scan(asked, code, words, garments, tmp_path):
    if asked == "--sort=entropy":
        (garments / "unlabelled.png").write_bytes((QUERIES / "00.png").read_bytes())
    outcome = run_cli("rank", "--images", garments, "--out", tmp_path / "out", "-q", asked)
    assert_one_error(outcome, code, *words, f"equidiff rank --resume {tmp_path / 'out'}")
    assert not list((tmp_path / "out" / "activations").iterdir())
    assert run_cli("rank", "--resume", tmp_path / "out").code == 0


def test_a_folder_that_was_ranked_already(garments, tmp_path):
    run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    outcome = run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    assert_one_error(outcome, 1, "already holds a ranking", f"--resume {tmp_path / 'out'}")


@pytest.mark.parametrize("file", ["rank.json", "units.jsonl", "tensors.safetensors", "images.csv"])
def test_damaged_files(file, garments, tmp_path):
    run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    (tmp_path / "out" / file).write_text("{")
    outcome = run_cli("rank", "--resume", tmp_path / "out", "--classes", "bag")
    assert_one_error(outcome, 1, file)


def test_an_interrupted_command(garments, tmp_path, monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("equidiff.rank.ranking.scan", interrupt)
    outcome = run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    assert (outcome.code, outcome.stdout) == (130, "")
    assert f"equidiff rank --resume {tmp_path / 'out'}" in outcome.stderr
    monkeypatch.undo()
    assert run_cli("rank", "--resume", tmp_path / "out").code == 0


def test_a_plan_keeps_its_numbers_in_range(garments):
    for wrong in ({"top": 0}, {"batch": -1}):
        with pytest.raises(UsageError, match="at least 1"):
            replace(plan(garments), **wrong)
    with pytest.raises(SpecError, match="empty"):
        begin(plan(garments, model=""))
    with pytest.raises(UnsupportedError, match="no images"):
        begin(plan(garments, model="circles"))


def test_an_image_that_has_gone_since_is_shown_as_missing(garments, tmp_path):
    run_cli("rank", "--images", garments, "--out", tmp_path / "out")
    with Image.open(tmp_path / "out" / "top.png") as image:
        before = image.copy()
    shutil.rmtree(garments)
    assert run_cli("rank", "--resume", tmp_path / "out").code == 0
    with Image.open(tmp_path / "out" / "top.png") as image:
        assert image.size == before.size
        assert image.tobytes() != before.tobytes()


@needs_data
def test_photographs(tmp_path):
    """A few photographs of ImageNet, with trained weights: the unit that the zebra activates most of all."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in (9, 340, 549, 599, 749, 993):
        (photograph,) = (DATA / "imagenet-samples").glob(f"{number:03d}_*")
        shutil.copy(photograph, folder)
    model = f"mobilenetv2_100,checkpoint={MOBILENET},mean=0.5,std=0.5,pad=same"
    found = rank(Plan(str(folder), model=model, batch=3, device="cpu"), tmp_path / "out")
    assert set(found.folder.info["classes"]) > {"zebra", "honeycomb", "gyromitra"}
    assert found.units[9].top[0].label == found.units[9].best_class == "zebra"
    assert found.units[20].top[0].label == "honeycomb"
    assert found.units[749].top[0].label == "gyromitra"
    assert found.units[9].top[0].activation == pytest.approx(
        measured(found.units[9], folder, found.units[9].top[0].image), abs=1e-4
    )

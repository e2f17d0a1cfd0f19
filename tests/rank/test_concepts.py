"""`equidiff rank --concepts`: units compared with texts, by a small CLIP model that knows nothing."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from running import assert_one_error, run_cli
from safetensors.torch import load_file, save_file

import equidiff
from equidiff.errors import PluginError, QueryError, UnknownNameError, UsageError, WeightsError
from equidiff.rank import Plan, Ranking, rank
from equidiff.rank.concepts import activation_warning, align, clarity, cosines, load_clip, read_concepts

open_clip = pytest.importorskip("open_clip")

QUERIES = Path(equidiff.__file__).parent / "queries" / "fashion"
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model as open_clip publishes them: configuration and weights in a folder."""
    path = tmp_path_factory.mktemp("clip")
    (path / "tiny.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(path / "tiny.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny", load_weights=False)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path / "weights.safetensors")
    save_file(load_file(path / "weights.safetensors"), path / "open_clip_model.safetensors")
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    return path


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "concepts.txt"
    path.write_text("a shoe\n\na bag  \na coat\na bag\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    path = tmp_path_factory.mktemp("rank")
    return rank(Plan(str(QUERIES), top=3, device="cpu"), path / "out").folder.path


@pytest.fixture
def ranking(scanned):
    return Ranking.load(scanned)


def reference(ranking, names, folder):
    """SemanticLens by its formulas, image by image, with open_clip used directly."""
    model, _, prepare = open_clip.create_model_and_transforms("tiny", load_weights=False)
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    model.eval()
    tokens = open_clip.get_tokenizer("tiny")(list(names))
    with torch.no_grad():
        text = model.encode_text(tokens)
        for unit in ranking.units:
            images = []
            for each in unit.top:
                with Image.open(QUERIES / each.image) as image:
                    images.append(model.encode_image(prepare(image.convert("RGB"))[None])[0])
            alignment = torch.cosine_similarity(torch.stack(images).mean(dim=0)[None], text)
            pairs = [torch.cosine_similarity(a, b, dim=0) for a in images for b in images if a is not b]
            yield alignment, sum(pairs) / len(pairs)


def test_alignment_and_clarity_by_their_formulas(ranking, texts, folder):
    concepts = read_concepts(texts, f"tiny,checkpoint={folder / 'weights.safetensors'}", "cpu")
    assert concepts.names == ("a shoe", "a bag", "a coat")
    seen = []
    found = align(ranking, concepts, lambda done, _state: seen.append(done))
    stored = load_file(found.folder.path / "concepts.safetensors")["alignment"]
    assert stored.shape == (128, 3)
    for unit, row, (alignment, clear) in zip(
        found.units, stored, reference(ranking, concepts.names, folder), strict=True
    ):
        torch.testing.assert_close(row, alignment, atol=1e-5, rtol=0)
        assert unit.concept == concepts.names[int(alignment.argmax())]
        assert unit.alignment == pytest.approx(alignment.max().item(), abs=1e-5)
        assert unit.clarity == pytest.approx(float(clear), abs=1e-5)
    again = Ranking.load(found.folder.path)
    assert again.units == found.units
    assert again.folder.info["concepts"]["names"] == ["a shoe", "a bag", "a coat"]
    assert again.folder.info["concepts"]["weights"]["name"] == "weights.safetensors"
    by_alignment = [unit.alignment for unit in again.best(128, "alignment")]
    assert by_alignment == sorted(by_alignment, reverse=True)


def test_cosines_and_clarity_of_known_vectors():
    same = torch.tensor([[[3.0, 4.0], [6.0, 8.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]]])
    assert clarity(same) == pytest.approx([1.0, 0.0, -1.0])
    assert clarity(same[:, :1]) == [None] * 3
    torch.testing.assert_close(cosines(same[:2], torch.tensor([[2.0, 0.0]])), torch.tensor([[0.6], [0.5**0.5]]))


def test_a_published_folder_is_the_same_model(folder):
    ours, theirs = (
        load_clip(spec, "cpu") for spec in (f"tiny,checkpoint={folder / 'weights.safetensors'}", f"local-dir:{folder}")
    )
    with Image.open(QUERIES / "03.png") as image:
        inputs = ours.prepare(image)[None]
        assert torch.equal(inputs, theirs.prepare(image)[None])
    assert torch.equal(ours.encode_image(inputs), theirs.encode_image(inputs))
    assert torch.equal(ours.encode_text(ours.tokenize(["a bag"])), theirs.encode_text(theirs.tokenize(["a bag"])))


def test_the_command(scanned, texts, folder):
    clip = f"tiny,checkpoint={folder / 'weights.safetensors'}"
    outcome = run_cli("rank", "--resume", scanned, "--concepts", texts, "--clip", clip, "--sort", "alignment")
    assert outcome.code == 0, outcome.stderr
    best = Ranking.load(scanned).best(1, "alignment")[0]
    (row,) = [line for line in outcome.stderr.splitlines() if line.startswith(f"{best.index} ")]
    assert best.concept in row
    assert f"{best.alignment:.3f}" in row
    assert "WARNING" not in outcome.stderr


def test_an_image_that_has_gone(texts, folder, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    Image.new("L", (9, 9)).save(images / "a.png")
    found = rank(Plan(str(images), device="cpu"), tmp_path / "out")
    (images / "a.png").unlink()
    concepts = read_concepts(texts, f"tiny,checkpoint={folder / 'weights.safetensors'}", "cpu")
    with pytest.raises(QueryError, match="is missing"):
        align(found, concepts, lambda done, state: None)


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("ViT-B-33,pretrained=openai", UnknownNameError, "ViT-B-32"),
        ("ViT-B-32", UsageError, "exactly one source of weights"),
        ("ViT-B-32,pretrained=openai,checkpoint=x", UsageError, "exactly one source of weights"),
        ("tiny,checkpoint=nowhere.safetensors", WeightsError, "does not exist"),
        ("tiny,chekpoint=x", UsageError, "checkpoint"),
        ("local-dir:nowhere", WeightsError, "cannot be loaded"),
        ("ViT-B-32,pretrained=nobody", WeightsError, "cannot be loaded"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_models_that_cannot_be_had(spec, error, words):
    with pytest.raises(error, match=words):
        load_clip(spec, "cpu")


def test_weights_of_another_model(folder, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        load_clip(f"tiny,checkpoint={tmp_path / 'other.safetensors'}", "cpu")
    assert (folder / "tiny.json").exists()


@pytest.mark.parametrize(("content", "words"), [("\n \n", "no concepts"), (b"\xff\xfe\xff", "cannot be read")])
def test_files_without_concepts(content, words, tmp_path):
    file = tmp_path / "concepts.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = run_cli("rank", "--images", QUERIES, "--concepts", file, "--out", tmp_path / "out")
    assert_one_error(outcome, 1, words)
    assert not (tmp_path / "out").exists()  # said before the scan, which takes long


def test_without_open_clip(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(PluginError, match=r"pip install equidiff\[clip\]"):
        load_clip("ViT-B-32,pretrained=openai", "cpu")


def test_hints_name_weights_that_fit_the_activation_function():
    """OpenAI's were trained with QuickGELU, which open_clip's plain names do not have."""
    for name, spec in (
        ("ViT-B-32", "ViT-B-32-quickgelu,pretrained=openai"),
        ("ViT-H-14", "ViT-H-14,pretrained=laion2b"),
    ):
        with pytest.raises(UsageError) as caught:
            load_clip(name, "cpu")
        assert spec in str(caught.value.hint)


def test_a_model_with_another_activation_function_than_its_weights_is_reported():
    warning = activation_warning("ViT-B-32", "openai")
    assert warning is not None
    assert "ViT-B-32-quickgelu,pretrained=openai" in warning
    assert activation_warning("ViT-B-32-quickgelu", "openai") is None
    assert activation_warning("ViT-B-32", "laion2b_s34b_b79k") is None

"""Other libraries' layouts against explicit formulas, and files that are refused."""

import json
import pickle
from contextlib import suppress

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature
from sae_families import GOLDEN
from safetensors.torch import save_file

from equidiff.errors import WeightsError

GIVEN = torch.randn(5, 6, generator=torch.Generator().manual_seed(3))
SHAPES = {"W_enc": (6, 12), "b_enc": (12,), "W_dec": (12, 6), "b_dec": (6,)}
GATED = {"W_enc": (6, 12), "b_gate": (12,), "b_mag": (12,), "r_mag": (12,), "W_dec": (12, 6), "b_dec": (6,)}
LENS = {
    "architecture": "standard", "d_in": 6, "d_sae": 12, "normalize_activations": "none", "apply_b_dec_to_input": False,
    "hook_name": "blocks.3.hook_mlp_out", "model_name": "vit",
}  # fmt: skip


def lens_folder(tmp_path, state, **settings):
    save_file(state, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps({**LENS, **settings}))
    return tmp_path


def keep_largest(values, k, least=0.0):
    """Row by row, without topk."""
    kept = torch.zeros_like(values)
    for row, numbers in enumerate(values):
        for index in sorted(range(len(numbers)), key=lambda i, n=numbers: -n[i])[:k]:
            kept[row, index] = max(numbers[index], least)
    return kept


def check_each_feature(autoencoder):
    together = autoencoder.encode(GIVEN)
    for index in range(autoencoder.config.d_sae):
        torch.testing.assert_close(Feature(autoencoder, index).read(GIVEN).value, together[:, index])


def test_saelens_standard(tmp_path, random_state):
    state = random_state(SHAPES)
    autoencoder = load_sae(lens_folder(tmp_path, state))
    features = (GIVEN @ state["W_enc"] + state["b_enc"]).clamp(min=0)
    torch.testing.assert_close(autoencoder.encode(GIVEN), features)
    torch.testing.assert_close(autoencoder.decode(features), features @ state["W_dec"] + state["b_dec"])
    assert (autoencoder.config.hook, autoencoder.config.model) == ("blocks.3.hook_mlp_out", "vit")
    check_each_feature(autoencoder)


def test_content_decides_and_not_the_suffix(tmp_path, random_state):
    state = random_state(SHAPES)
    expected = load_sae(lens_folder(tmp_path, state)).encode(GIVEN)
    (tmp_path / "sae_weights.safetensors").rename(tmp_path / "weights.pt")
    assert torch.equal(load_sae(tmp_path).encode(GIVEN), expected)
    (tmp_path / "weights.pt").write_text("version https://git-lfs.github.com/spec/v1\nsize 123456\n")
    with pytest.raises(WeightsError, match="Git LFS pointer to the weights of 123,456 bytes"):
        load_sae(tmp_path)


def test_saelens_subtracts_the_bias_where_it_says_so(tmp_path, random_state):
    state = random_state(SHAPES)
    autoencoder = load_sae(lens_folder(tmp_path, state, apply_b_dec_to_input=True))
    features = ((GIVEN - state["b_dec"]) @ state["W_enc"] + state["b_enc"]).clamp(min=0)
    torch.testing.assert_close(autoencoder.encode(GIVEN), features)


def test_saelens_jumprelu(tmp_path, random_state):
    state = random_state({**SHAPES, "threshold": (12,)})
    state["threshold"] = state["threshold"].abs() * 2
    autoencoder = load_sae(lens_folder(tmp_path, state, architecture="jumprelu"))
    ranked = GIVEN @ state["W_enc"] + state["b_enc"]
    features = torch.where(ranked > state["threshold"], ranked, torch.zeros(()))
    torch.testing.assert_close(autoencoder.encode(GIVEN), features)
    assert ((ranked > 0) & (features == 0)).any()  # else the threshold made no difference
    check_each_feature(autoencoder)


def test_saelens_gated(tmp_path, random_state):
    state = random_state(GATED)
    autoencoder = load_sae(lens_folder(tmp_path, state, architecture="gated"))
    gate = GIVEN @ state["W_enc"] + state["b_gate"] > 0
    size = (GIVEN @ (state["W_enc"] * state["r_mag"].exp()) + state["b_mag"]).clamp(min=0)
    torch.testing.assert_close(autoencoder.encode(GIVEN), gate * size)
    check_each_feature(autoencoder)


@pytest.mark.parametrize("scaled", [False, True])
def test_saelens_topk(tmp_path, random_state, scaled):
    state = random_state(SHAPES)
    autoencoder = load_sae(lens_folder(tmp_path, state, architecture="topk", k=3, rescale_acts_by_decoder_norm=scaled))
    lengths = state["W_dec"].square().sum(dim=1).sqrt() if scaled else torch.ones(12)
    features = keep_largest((GIVEN @ state["W_enc"] + state["b_enc"]) * lengths, 3)
    torch.testing.assert_close(autoencoder.encode(GIVEN), features)
    decoded = (features / lengths) @ state["W_dec"] + state["b_dec"]
    torch.testing.assert_close(autoencoder.decode(features), decoded)
    check_each_feature(autoencoder)


def sparsify_folder(tmp_path, random_state, name="layers.7.mlp", skip=False, **settings):
    folder = tmp_path / name
    folder.mkdir()
    shapes = {"encoder.weight": (12, 6), "encoder.bias": (12,), "W_dec": (12, 6), "b_dec": (6,)}
    state = random_state({**shapes, **({"W_skip": (6, 6)} if skip else {})})
    save_file(state, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"k": 4, "d_in": 6, "num_latents": 12, **settings}))
    return folder, state


def test_sparsify_topk(tmp_path, random_state):
    folder, state = sparsify_folder(tmp_path, random_state, activation="topk")
    autoencoder = load_sae(folder)
    ranked = (GIVEN - state["b_dec"]) @ state["encoder.weight"].T + state["encoder.bias"]
    features = keep_largest(ranked, 4)
    torch.testing.assert_close(autoencoder.encode(GIVEN), features)
    torch.testing.assert_close(autoencoder.reconstruct(GIVEN), features @ state["W_dec"] + state["b_dec"])
    assert autoencoder.config.hook == "blocks.7.hook_mlp_out"
    check_each_feature(autoencoder)


def test_sparsify_transcoder_with_skip(tmp_path, random_state):
    folder, state = sparsify_folder(tmp_path, random_state, skip=True, transcode=True)
    autoencoder = load_sae(folder)
    features = keep_largest(GIVEN @ state["encoder.weight"].T + state["encoder.bias"], 4)
    expected = features @ state["W_dec"] + state["b_dec"] + GIVEN @ state["W_skip"].T
    torch.testing.assert_close(autoencoder.reconstruct(GIVEN), expected)


def test_sparsify_groupmax(tmp_path, random_state):
    folder, state = sparsify_folder(tmp_path, random_state, activation="groupmax")
    autoencoder = load_sae(folder)
    ranked = ((GIVEN - state["b_dec"]) @ state["encoder.weight"].T + state["encoder.bias"]).clamp(min=0)
    expected = torch.cat([keep_largest(ranked[:, start : start + 3], 1) for start in range(0, 12, 3)], dim=1)
    torch.testing.assert_close(autoencoder.encode(GIVEN), expected)
    check_each_feature(autoencoder)


def saev_file(tmp_path, state, header):
    path = tmp_path / "sae.pt"
    with path.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        torch.save(state, file)
    return path


def test_saev_before_schemas_subtracts_the_bias(tmp_path, random_state):
    state = random_state(SHAPES)
    autoencoder = load_sae(saev_file(tmp_path, state, {"d_vit": 6, "exp_factor": 2, "ghost_grads": False}))
    expected = ((GIVEN - state["b_dec"]) @ state["W_enc"] + state["b_enc"]).clamp(min=0)
    torch.testing.assert_close(autoencoder.encode(GIVEN), expected)


def test_saev_with_a_schema_does_not(tmp_path, random_state):
    state = random_state(SHAPES)
    cfg = {"d_vit": 6, "exp_factor": 2, "activation": {"cls": "TopK", "params": {"top_k": 9}}}
    autoencoder = load_sae(saev_file(tmp_path, state, {"schema": 2, "cfg": cfg}).parent)
    features = keep_largest(GIVEN @ state["W_enc"] + state["b_enc"], 9, -torch.inf)
    torch.testing.assert_close(autoencoder.encode(GIVEN), features)
    assert (features < 0).any()  # its top-k keeps negative values
    check_each_feature(autoencoder)


def test_saev_batch_topk_has_a_threshold(tmp_path, random_state):
    state = {**random_state(SHAPES), "activation.threshold": torch.tensor(1.5)}
    cfg = {"d_vit": 6, "exp_factor": 2, "activation": {"cls": "BatchTopK", "params": {"top_k": 5}}}
    autoencoder = load_sae(saev_file(tmp_path, state, {"schema": 2, "cfg": cfg}))
    ranked = GIVEN @ state["W_enc"] + state["b_enc"]
    torch.testing.assert_close(autoencoder.encode(GIVEN), torch.where(ranked > 1.5, ranked, torch.zeros(())))
    check_each_feature(autoencoder)


def test_decoding_what_was_scaled_needs_what_it_was_scaled_from(prisma_folder):
    autoencoder = load_sae(prisma_folder(normalize_activations="layer_norm"))
    with pytest.raises(Exception, match="Decoding needs the activations"):
        autoencoder.decode(autoencoder.encode(GIVEN))


class Bomb:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("header", [None, {"schema": 2, "cfg": {}}])
def test_code_in_a_pickle_is_not_run(prisma_folder, tmp_path, header):
    folder = prisma_folder()
    sign = tmp_path / "executed"
    content = {"state_dict": Bomb(sign), "cfg": {}}
    if header is None:
        torch.save(content, folder / "weights.pt")
    else:
        (folder / "weights.pt").unlink()
        saev_file(folder, content, header)
    with pytest.raises(WeightsError, match="code in them is not run"):
        load_sae(folder)
    assert not sign.exists()


def test_a_plain_pickle_is_refused_unread(golden, tmp_path):
    with pytest.raises(WeightsError, match="may hold code"):
        load_sae(golden("sae_standard_relu_layernorm", "n_images_2600058.pkl.gz") / "n_images_2600058.pkl.gz")
    (tmp_path / "sae.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(WeightsError, match="may hold code"):
        load_sae(tmp_path / "sae.pkl")


@pytest.mark.parametrize(
    "missing",
    ["architecture", "activation_fn_str", "normalize_activations", "d_in", "expansion_factor", "hook_point_layer",
     "layer_subtype", "cls_token_only"],
)  # fmt: skip
def test_a_setting_that_decides_about_numbers_may_not_be_missing(prisma_folder, missing):
    with pytest.raises(WeightsError, match=f"do not say its {missing}"):
        load_sae(prisma_folder(drop=(missing,)))


def test_settings_of_other_years(prisma_folder):
    first = prisma_folder(drop=("hook_point_layer", "layer_subtype"), hook_point="blocks.4.hook_mlp_out", name="first")
    assert load_sae(first).config.hook == "blocks.4.hook_mlp_out"
    old = prisma_folder(drop=("cls_token_only", "use_patches_only"), cls_token=True, name="old")
    assert load_sae(old).config.tokens == "cls"
    with pytest.raises(WeightsError, match="ambiguous which tokens"):
        load_sae(prisma_folder(cls_token_only=True, use_patches_only=True, name="both"))
    with pytest.raises(WeightsError, match="architecture of this autoencoder is not supported"):
        load_sae(prisma_folder(architecture="jumprelu", name="jump"))
    with pytest.raises(WeightsError, match="how many features stay on"):
        load_sae(prisma_folder(activation_fn_str="topk", name="topk"))


def test_a_combined_file_brings_its_own_settings(golden, tmp_path):
    source = golden("sae_standard_relu_none", "n_images_2600058.pt")
    (tmp_path / "weights.pt").write_bytes((source / "n_images_2600058.pt").read_bytes())
    assert load_sae(tmp_path).config == load_sae(source).config


def test_what_is_not_there_or_does_not_fit(prisma_folder, tmp_path):
    folder = prisma_folder()
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match="settings are missing"):
        load_sae(folder)
    with pytest.raises(WeightsError, match="does not exist"):
        load_sae(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="no weights"):
        load_sae(tmp_path / "empty")
    with pytest.raises(WeightsError, match="W_enc does not fit"):
        load_sae(prisma_folder(d_in=7, name="narrow"))
    with pytest.raises(WeightsError, match="lack b_gate"):
        load_sae(prisma_folder(architecture="gated", name="gated"))
    damaged = prisma_folder(name="damaged")
    (damaged / "weights.pt").write_bytes((damaged / "weights.pt").read_bytes()[:900])
    with pytest.raises(WeightsError, match="cut short"):
        load_sae(damaged)


def test_a_scale_that_is_nowhere_is_not_left_out(tmp_path, random_state):
    folder = lens_folder(tmp_path, random_state(SHAPES), normalize_activations="expected_average_only_in")
    with pytest.raises(WeightsError, match="scaled in training"):
        load_sae(folder)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": null}')
    with pytest.raises(WeightsError, match="no scaling_factor"):
        load_sae(folder)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 0.5}')
    assert load_sae(folder).config.factor == 0.5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"architecture": "temporal"}, "SAELens's architecture temporal is not supported: its features depend"),
        ({"architecture": "hypernetwork"}, "architecture of this autoencoder is not supported"),
        ({"normalize_activations": "batch_norm"}, "normalisation of this autoencoder is not supported"),
        ({"hook_head_index": 3}, "one attention head is not supported"),
    ],
)
def test_what_saelens_has_and_this_has_not(tmp_path, random_state, settings, words):
    with pytest.raises(WeightsError, match=words):
        load_sae(lens_folder(tmp_path, random_state(SHAPES), **settings))


def test_settings_of_saelens_6_are_nested(tmp_path, random_state):
    about = {"hook_name": "blocks.5.hook_resid_post", "model_name": "m", "image_size": 224, "hook_name_out": "other"}
    settings = {"hook_name": None, "model_name": None, "metadata": about}
    config = load_sae(lens_folder(tmp_path, random_state(SHAPES), **settings)).config
    assert (config.hook, config.out_hook, config.model, config.size) == ("blocks.5.hook_resid_post", None, "m", 224)


@pytest.mark.parametrize(
    ("name", "transcode", "hooks"),
    [
        ("layers.7.mlp", False, ("blocks.7.hook_mlp_out", None)),
        ("layers.7.mlp", True, ("blocks.7.mlp.input", "blocks.7.hook_mlp_out")),
        ("encoder.layer.3", False, ("blocks.3.hook_resid_post", None)),
        ("encoder.layer.3", True, ("blocks.3.hook_resid_pre", "blocks.3.hook_resid_post")),
        ("blocks.2.attn.proj", True, ("blocks.2.attn.proj.input", "blocks.2.attn.proj")),
        ("mine", False, (None, None)),
    ],
)
def test_the_place_that_sparsify_reads(tmp_path, random_state, name, transcode, hooks):
    """A transcoder reads its module's input."""
    folder, _ = sparsify_folder(tmp_path, random_state, name=name, transcode=transcode)
    config = load_sae(folder).config
    assert (config.hook, config.out_hook) == hooks


def test_a_run_of_saev_says_where_it_was_trained(tmp_path, random_state):
    run = tmp_path / "run"
    for folder in (run / "checkpoint", run / "links" / "train-shards"):
        folder.mkdir(parents=True)
    header = {"schema": 5, "cfg": {"d_model": 6, "d_sae": 12, "activation": {"cls": "Relu", "params": {}}}}
    saev_file(run / "checkpoint", random_state(SHAPES), header)
    data = {"layer": 9, "tokens": "content"}
    (run / "checkpoint" / "config.json").write_text(json.dumps({"train_data": data}))
    shards = {"family": "dinov2", "ckpt": "dinov2_vitb14_reg", "content_tokens_per_example": 256}
    (run / "links" / "train-shards" / "metadata.json").write_text(json.dumps(shards))
    config = load_sae(run).config
    assert (config.hook, config.tokens, config.size) == ("blocks.9.hook_resid_post", "patches", 224)
    assert config.model == "dinov2/dinov2_vitb14_reg"
    assert config.doubt is None
    (run / "checkpoint" / "config.json").write_text(json.dumps({"train_data": {**data, "scale_mean": True}}))
    with pytest.raises(WeightsError, match="centred and scaled activations is not supported"):
        load_sae(run)


def test_files_of_saev_that_leave_something_open(tmp_path, random_state):
    state = random_state(SHAPES)
    assert "centred and scaled" in load_sae(saev_file(tmp_path, state, {"d_vit": 6, "exp_factor": 2})).config.doubt
    with pytest.raises(WeightsError, match="Schema 9 of saev is not supported"):
        load_sae(saev_file(tmp_path, state, {"schema": 9, "cfg": {}}))
    cfg = {"activation": {"cls": "BatchTopK", "params": {"top_k": 5}}}
    before = load_sae(saev_file(tmp_path, state, {"schema": 2, "cfg": cfg}))  # of before the threshold was stored
    expected = keep_largest(GIVEN @ state["W_enc"] + state["b_enc"], 5, -torch.inf)
    torch.testing.assert_close(before.encode(GIVEN), expected)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "do not say its class"),
        ({"class": "OMPSAE"}, "OMPSAE is not supported: its features are the result of an iterative solver"),
        ({"class": "USAE"}, "class of this autoencoder is not supported"),
        ({"class": "TopKSAE"}, "do not say its top_k"),
        ({"class": "BatchTopKSAE", "top_k": 3}, "do not say its running_threshold"),
        ({"class": "SAE", "hidden": True}, "This encoder of overcomplete is not supported"),
        ({"class": "SAE", "normalization": "mine"}, "normalization of the dictionary"),
    ],
)
def test_what_a_state_dict_of_overcomplete_must_say(tmp_path, random_state, settings, words):
    shapes = {
        "encoder.final_block.0.weight": (12, 6),
        "encoder.final_block.0.bias": (12,),
        "dictionary._weights": (12, 6),
    }
    if settings.pop("hidden", False):
        shapes["encoder.mlp_blocks.0.0.weight"] = (6, 6)
    torch.save(random_state(shapes), tmp_path / "sae.pt")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(WeightsError, match=words):
        load_sae(tmp_path)


def test_a_class_of_dictionary_learning_that_is_unknown(tmp_path, random_state):
    torch.save(random_state(SHAPES), tmp_path / "ae.pt")
    (tmp_path / "config.json").write_text(json.dumps({"trainer": {"dict_class": "CrossCoder"}}))
    with pytest.raises(WeightsError, match=r"class of this autoencoder is not supported") as caught:
        load_sae(tmp_path)
    assert "CrossCoder" in caught.value.given


def test_a_checkpoint_of_dictionary_learning_has_its_settings_above(tmp_path):
    made = GOLDEN / "dictionary_learning-TopK"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_bytes((made / "config.json").read_bytes())
    (tmp_path / "checkpoints" / "ae_100.pt").write_bytes((made / "ae.pt").read_bytes())
    autoencoder = load_sae(tmp_path / "checkpoints" / "ae_100.pt")
    assert autoencoder.config == load_sae(made).config
    assert autoencoder.config.hook == "blocks.3.hook_resid_post"


def test_the_class_of_code_in_a_pickle_is_named(tmp_path):
    torch.save(Bomb, tmp_path / "sae.pt")
    with pytest.raises(WeightsError, match="code in them is not run") as caught:
        load_sae(tmp_path)
    assert "Bomb" in caught.value.given


HOSTILE = (10**12, -1, "many", float("nan"), None, [6], {"a": 1}, True)


@pytest.mark.parametrize("value", HOSTILE, ids=str)
@pytest.mark.parametrize("setting", ["d_sae", "d_in", "metadata", "architecture", "activation_fn_kwargs"])
def test_settings_of_other_kinds_are_one_error(setting, value, tmp_path, random_state):
    place = lens_folder(tmp_path, random_state(SHAPES), architecture="topk", k=3)
    settings = json.loads((place / "cfg.json").read_text())
    (place / "cfg.json").write_text(json.dumps({**settings, setting: value}))
    with suppress(WeightsError):  # what is ignored, such as other keywords, does no harm
        assert load_sae(place).config.d_sae == SHAPES["W_enc"][1]
        assert setting in {"metadata", "activation_fn_kwargs"}


def test_an_autoencoder_that_states_more_than_it_holds(tmp_path):
    wide = 10**9
    weights = {"W_enc": torch.zeros(1).expand(6, wide), "b_enc": torch.zeros(1).expand(wide)}
    torch.save(weights | {"W_dec": torch.zeros(1).expand(wide, 6), "b_dec": torch.zeros(6)}, tmp_path / "ae.pt")
    described = {"trainer": {"dict_class": "AutoEncoder"}}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(WeightsError, match="more values than the file has"):
        load_sae(tmp_path)

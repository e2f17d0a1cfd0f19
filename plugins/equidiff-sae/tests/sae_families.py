"""Small random autoencoders of each library's own classes, saved as the library saves them, and what it computes.

Each function here takes an empty folder and returns the path for `sae=`, the features and the reconstruction that the
library's own code gives for `GIVEN`. `python sae_families.py` writes them to `golden/libraries`. It needs the
libraries, without what they need for training:

    pip install --no-deps sae-lens==6.54.12 eai-sparsify==1.3.3 dictionary-learning==0.1.0
    pip install --no-deps overcomplete==0.3.0 saev==0.1.0
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sae_libraries import find
from safetensors.torch import save_file
from torch import Tensor

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # its kernels need a GPU
WIDE, MANY = 6, 12
GIVEN = torch.randn(9, WIDE, generator=torch.Generator().manual_seed(3))
GOLDEN = Path(__file__).parent / "golden" / "libraries"
PACKAGES = {
    "saelens": "sae-lens", "sparsify": "eai-sparsify", "dictionary_learning": "dictionary-learning",
    "overcomplete": "overcomplete", "saev": "saev",
}  # fmt: skip


class Made(NamedTuple):
    """A saved autoencoder, and what its library computes."""

    path: Path
    features: Tensor
    reconstruction: Tensor | None


def fill(module: Any, seed: int = 1) -> Any:
    """Random parameters, with thresholds that some features exceed."""
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(torch.randn(value.shape, generator=stream) * 0.7)
            if name.endswith("threshold"):
                value.abs_()
    return module


SETTINGS = {"d_in": WIDE, "d_sae": MANY, "dtype": "float32", "device": "cpu"}
TRANSCODER = {"d_out": 4, "apply_b_dec_to_input": False}


def saelens(architecture: str, **settings: Any) -> Callable[[Path], Made]:
    """An autoencoder for use, as `save_model` saves it."""

    def make(folder: Path) -> Made:
        from sae_lens.registry import get_sae_class
        from sae_lens.saes.sae import SAEMetadata

        kind, config = get_sae_class(architecture)
        about = SAEMetadata(
            hook_name="blocks.2.attn.hook_z" if "reshape_activations" in settings else "blocks.2.hook_mlp_out"
        )
        sae = fill(kind(config(**SETTINGS, **settings, metadata=about)))
        if architecture == "matching_pursuit":
            sae.W_dec.data /= sae.W_dec.norm(dim=1, keepdim=True)
        sae.save_model(folder)
        return saelens_made(folder)

    return make


def saelens_made(folder: Path) -> Made:
    """The features that SAELens reads from a folder."""
    from sae_lens.registry import get_sae_class
    from sae_lens.saes.sae import SAE

    kind = get_sae_class(json.loads((folder / "cfg.json").read_text()).get("architecture", "standard"))[0]
    sae = (kind if "ranscoder" in kind.__name__ else SAE).load_from_disk(folder)
    given = GIVEN.unflatten(1, (2, 3)) if sae.cfg.reshape_activations == "hook_z" else GIVEN
    with torch.no_grad():
        return Made(folder, sae.encode(given), sae(given).reshape(len(GIVEN), -1))


def saelens_flat(folder: Path) -> Made:
    """Settings of before version 6."""
    saelens("topk", k=3)(folder)
    settings = {
        "d_in": WIDE, "d_sae": MANY, "dtype": "float32", "device": "cpu", "hook_point": "blocks.5.hook_resid_post",
        "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 3}, "model_name": "vit", "hook_point_layer": 5,
        "normalize_activations": "none", "hook_point_head_index": None, "prepend_bos": True,
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(settings))
    return saelens_made(folder)


def training(architecture: str, finished: bool, **settings: Any) -> Callable[[Path], Made]:
    """An autoencoder as it is in training: finished, or a checkpoint of which SAELens itself makes a finished one."""

    def make(folder: Path) -> Made:
        from sae_lens.registry import get_sae_training_class
        from sae_lens.training.activation_scaler import ActivationScaler, ActivationWhitening

        kind, config = get_sae_training_class(architecture)
        sae = fill(kind(config(**SETTINGS, **settings)))
        if hasattr(sae, "topk_threshold"):
            sae.topk_threshold.fill_(0.8)
        scaler = ActivationScaler()
        if not finished:
            sae.save_model(folder)
        if settings.get("normalize_activations") == "expected_average_only_in":
            scaler.scaling_factor = 0.25
        if settings.get("normalize_activations") == "covariance_whitening":
            matrix = torch.randn(WIDE, WIDE, generator=torch.Generator().manual_seed(5))
            scaler.whitening = ActivationWhitening(torch.linspace(-1, 1, WIDE), matrix, matrix.inverse())
        if not finished:
            scaler.save(str(folder / "activation_scaler.json"))
        if scaler.scaling_factor is not None:
            sae.fold_activation_norm_scaling_factor(scaler.scaling_factor)
        if scaler.whitening is not None:
            each = scaler.whitening
            sae.fold_activation_whitening(each.mean, each.matrix, each.inverse_matrix)
        ready = folder if finished else folder.with_name(f"{folder.name}-finished")
        sae.save_inference_model(ready)
        made = saelens_made(ready)
        if not finished:
            shutil.rmtree(ready)
        return made._replace(path=folder)

    return make


def sparsify(**settings: Any) -> Callable[[Path], Made]:
    """A sparse coder of EleutherAI's sparsify."""

    def make(folder: Path) -> Made:
        from sparsify.config import SparseCoderConfig
        from sparsify.sparse_coder import SparseCoder

        coder = fill(SparseCoder(WIDE, SparseCoderConfig(num_latents=MANY, k=4, **settings)))
        place = folder / "layers.7.mlp"
        coder.save_to_disk(place)
        coder = SparseCoder.load_from_disk(place)
        with torch.no_grad():
            found = coder.encode(GIVEN)
            features = torch.zeros(len(GIVEN), MANY).scatter(1, found.top_indices, found.top_acts)
            return Made(place, features, coder(GIVEN).sae_out)

    return make


def dictionary_learning(name: str, k: int | None = None) -> Callable[[Path], Made]:
    """A dictionary of dictionary_learning, as its trainers save it."""

    def make(folder: Path) -> Made:
        utils = find("dictionary_learning.utils")
        arguments = [] if k is None else [k]
        if "Matryoshka" in name:
            arguments.append([4, 8])
        dictionary = fill(getattr(utils, name)(WIDE, MANY, *arguments))
        if k is not None:
            dictionary.threshold.fill_(0.6)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(dictionary.state_dict(), folder / "ae.pt")
        trainer = {"dict_class": name, "layer": 3, "lm_name": "vit", "submodule_name": "resid_post_layer_3", "k": k}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"io": "out"}}))
        with torch.no_grad():
            loaded, _ = utils.load_dictionary(str(folder), None)
            features = loaded.encode(GIVEN)
            return Made(folder, features, loaded.decode(features))

    return make


def overcomplete(name: str, whole: bool = True, tied: str | None = None, **settings: Any) -> Callable[[Path], Made]:
    """An autoencoder of overcomplete: the whole module, or its state dict with settings beside it."""

    def make(folder: Path) -> Made:
        from overcomplete import sae as classes

        if name.startswith("RA"):
            settings["points"] = torch.randn(20, WIDE, generator=torch.Generator().manual_seed(7))
        made = fill(getattr(classes, name)(WIDE, MANY, **settings))
        if tied is not None:
            made = getattr(made, tied)(bias=True)
        if "mlp_bn" in str(settings.get("encoder_module")):
            made.encoder.final_block[1].running_mean.copy_(torch.linspace(-1, 1, MANY))
            made.encoder.final_block[1].running_var.copy_(torch.linspace(0.5, 2, MANY))
        if name == "BatchTopKSAE":
            made.running_threshold = torch.tensor(0.4)
        if hasattr(made, "thresholds"):
            made.thresholds.data -= 1
        made.eval()
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(made if whole else made.state_dict(), folder / "sae.pt")
        if not whole:
            plain = {key: float(value) for key, value in settings.items() if isinstance(value, int | float)}
            numbers = {key: int(value) if value == int(value) else value for key, value in plain.items()}
            threshold = {"running_threshold": 0.4} if name == "BatchTopKSAE" else {}
            (folder / "config.json").write_text(json.dumps({"class": name, **numbers, **threshold}))
        with torch.no_grad():
            features = made.encode(GIVEN)[1]
            return Made(folder, features, made.decode(features))

    return make


def saev(folder: Path) -> Made:
    """An autoencoder of saev 0.1."""
    from saev import config, nn

    sae = fill(nn.SparseAutoencoder(config.SparseAutoencoder(d_vit=WIDE, exp_factor=2, n_reinit_samples=0)))
    nn.dump(str(folder / "sae.pt"), sae)
    with torch.no_grad():
        reconstruction, features, _ = nn.load(str(folder / "sae.pt"))(GIVEN)
    return Made(folder / "sae.pt", features, reconstruction)


CASES: dict[str, Callable[[Path], Made]] = {
    "saelens-standard": saelens("standard"),
    "saelens-standard-b_dec-not-applied": saelens("standard", apply_b_dec_to_input=False),
    "saelens-standard-layer_norm": saelens("standard", normalize_activations="layer_norm"),
    "saelens-standard-constant_norm": saelens("standard", normalize_activations="constant_norm_rescale"),
    "saelens-standard-hook_z": saelens("standard", reshape_activations="hook_z"),
    "saelens-gated": saelens("gated"),
    "saelens-jumprelu": saelens("jumprelu"),
    "saelens-topk": saelens("topk", k=3),
    "saelens-topk-rescaled": saelens("topk", k=3, rescale_acts_by_decoder_norm=True),
    "saelens-abstopk": saelens("abstopk", k=4),
    "saelens-transcoder": saelens("transcoder", **TRANSCODER),
    "saelens-transcoder-layer_norm": saelens("transcoder", normalize_activations="layer_norm", **TRANSCODER),
    "saelens-skip_transcoder": saelens("skip_transcoder", **TRANSCODER),
    "saelens-jumprelu_transcoder": saelens("jumprelu_transcoder", **TRANSCODER),
    "saelens-jumprelu_skip_transcoder": saelens("jumprelu_skip_transcoder", **TRANSCODER),
    "saelens-matching_pursuit": saelens("matching_pursuit", max_iterations=4, residual_threshold=1.2),
    "saelens-before-version-6": saelens_flat,
    "saelens-batchtopk": training("batchtopk", True, k=3),
    "saelens-matryoshka_batchtopk": training("matryoshka_batchtopk", True, k=3, matryoshka_widths=[4, MANY]),
    "saelens-checkpoint-standard": training("standard", False, normalize_activations="expected_average_only_in"),
    "saelens-checkpoint-whitened": training("standard", False, normalize_activations="covariance_whitening"),
    "saelens-checkpoint-gated-whitened": training(
        "gated", False, normalize_activations="covariance_whitening", apply_b_dec_to_input=False
    ),
    "saelens-checkpoint-jumprelu": training("jumprelu", False, normalize_activations="expected_average_only_in"),
    "saelens-checkpoint-topk": training("topk", False, k=3, normalize_activations="expected_average_only_in"),
    "saelens-checkpoint-batchtopk": training("batchtopk", False, k=3),
    "saelens-checkpoint-batchtopk-scaled": training(
        "batchtopk", False, k=3, normalize_activations="expected_average_only_in"
    ),
    "saelens-checkpoint-matryoshka": training("matryoshka_batchtopk", False, k=3, matryoshka_widths=[4, MANY]),
    "sparsify-topk": sparsify(),
    "sparsify-groupmax": sparsify(activation="groupmax"),
    "sparsify-transcoder": sparsify(transcode=True),
    "sparsify-transcoder-skip": sparsify(transcode=True, skip_connection=True),
    "dictionary_learning-AutoEncoder": dictionary_learning("AutoEncoder"),
    "dictionary_learning-AutoEncoderNew": dictionary_learning("AutoEncoderNew"),
    "dictionary_learning-Gated": dictionary_learning("GatedAutoEncoder"),
    "dictionary_learning-TopK": dictionary_learning("AutoEncoderTopK", 3),
    "dictionary_learning-BatchTopK": dictionary_learning("BatchTopKSAE", 3),
    "dictionary_learning-Matryoshka": dictionary_learning("MatryoshkaBatchTopKSAE", 3),
    "dictionary_learning-JumpReLU": dictionary_learning("JumpReluAutoEncoder"),
    "overcomplete-SAE": overcomplete("SAE"),
    "overcomplete-SAE-state-dict": overcomplete("SAE", whole=False),
    "overcomplete-SAE-batch-norm": overcomplete("SAE", encoder_module="mlp_bn_1"),
    "overcomplete-SAE-tied": overcomplete("SAE", tied="tied"),
    "overcomplete-SAE-untied": overcomplete("SAE", tied="untied"),
    "overcomplete-TopK": overcomplete("TopKSAE", top_k=3),
    "overcomplete-TopK-state-dict": overcomplete("TopKSAE", whole=False, top_k=3),
    "overcomplete-BatchTopK": overcomplete("BatchTopKSAE", top_k=3),
    "overcomplete-BatchTopK-state-dict": overcomplete("BatchTopKSAE", whole=False, top_k=3),
    "overcomplete-Jump": overcomplete("JumpSAE"),
    "overcomplete-QSAE": overcomplete("QSAE", q=4),
    "overcomplete-RATopK": overcomplete("RATopKSAE", top_k=3, delta=0.5),
    "overcomplete-RATopK-state-dict": overcomplete("RATopKSAE", whole=False, top_k=3, delta=0.5),
    "overcomplete-RAJump": overcomplete("RAJumpSAE"),
    "overcomplete-MpSAE": overcomplete("MpSAE", k=4),
    "saev-0.1": saev,
}
MODULES = {
    "saelens": ("sae_lens",),
    "sparsify": ("sparsify.sparse_coder",),
    "dictionary_learning": ("dictionary_learning.utils",),
    "overcomplete": ("overcomplete.sae",),
    "saev": ("saev.nn", "saev.config"),
}


def library(case: str) -> str:
    """The library of a case."""
    return case.partition("-")[0]


def import_library(name: str) -> bool:
    """Import a library's modules; False where it is not installed."""
    return all(find(module) is not None for module in MODULES[name])


def main() -> None:
    """Write all cases."""
    about: dict[str, Any] = {"torch": torch.__version__, "made by": "sae_families.py", "paths": {}}
    shutil.rmtree(GOLDEN, ignore_errors=True)
    for case, make in CASES.items():
        if not import_library(library(case)):
            sys.exit(f"{library(case)} is not installed")
        folder = GOLDEN / case
        folder.mkdir(parents=True)
        made = make(folder)
        parts = {"features": made.features, "reconstruction": made.reconstruction}
        save_file(
            {key: value.contiguous() for key, value in parts.items() if value is not None}, folder / "io.safetensors"
        )
        about["paths"][case] = str(made.path.relative_to(GOLDEN))
    about["versions"] = {package: version(package) for package in PACKAGES.values()}
    (GOLDEN / "README.json").write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Small random models of azula, found as the published ones are."""

from types import SimpleNamespace

import pytest
import torch
from azula import hub
from azula.plugins import adm, jit
from azula.plugins.jit._src.model import JiT

ADM = {
    "image_size": 16, "num_channels": 32, "channel_mult": (1, 2), "num_res_blocks": 1, "attention_resolutions": (8,),
    "num_head_channels": 16, "use_scale_shift_norm": True, "clip_mean": False,
}  # fmt: skip


def randomise(module, scale=0.05):
    """Networks of diffusion begin with zeros in their last layers; random values make every path count."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        parameter.data += scale * torch.randn_like(parameter)
    return module


def tiny_jit():
    return JiT(
        input_size=16, patch_size=4, hidden_size=32, depth=3, num_heads=2, num_classes=5, bottleneck_dim=8,
        in_context_len=2, in_context_start=1,
    )  # fmt: skip


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Names of small models as FAMILY/MODEL, with weights where azula's downloads lie."""
    monkeypatch.setattr(hub, "AZULA_HUB", str(tmp_path / "hub"))
    (tmp_path / "hub").mkdir()
    monkeypatch.setitem(jit.JiT_models, "tiny", tiny_jit)

    def card(name, **config):
        return SimpleNamespace(url=f"https://example.invalid/{name}.pt", hash=None, config=config)

    cards = {
        "adm": {"tiny": card("adm", **ADM), "classes": card("classes", **ADM, num_classes=3)},
        "jit": {"tiny": card("jit", model="tiny")},
    }
    modules = {"adm": adm, "jit": jit}
    for family, named in cards.items():
        monkeypatch.setattr(modules[family], "load_cards", lambda _, named=named: named)
    monkeypatch.setattr("equidiff_azula.models.load_cards", lambda module: cards[module.__name__.rpartition(".")[2]])
    for name, each in cards["adm"].items():
        weights = randomise(adm.make_model(**each.config)).backbone.state_dict()
        torch.save(weights, tmp_path / "hub" / f"https.example.invalid.{'adm' if name == 'tiny' else name}.pt")
    archive = tmp_path / "hub" / "https.example.invalid.jit.pt"
    archive.write_bytes(b"an archive that was extracted already")
    (tmp_path / "hub" / "https.example.invalid.jit.pt+x").mkdir()
    weights = {f"net.{name}": value for name, value in randomise(tiny_jit()).state_dict().items()}
    torch.save({"model_ema1": weights}, tmp_path / "hub" / "https.example.invalid.jit.pt+x" / "checkpoint-last.pth")
    with torch.compiler.set_stance(force_backend="aot_eager"):  # traced as by a user, without half a minute of C++
        yield tmp_path


@pytest.fixture
def own(tmp_path):
    """A file with a function that returns a denoiser, and its location."""
    path = tmp_path / "denoiser.py"
    path.write_text(
        """
import torch
from azula.denoise import KarrasDenoiser
from azula.noise import VPSchedule


class Network(torch.nn.Module):
    def __init__(self, channels=1):
        super().__init__()
        self.inner = torch.nn.Conv2d(channels, 16, 3, padding=1)
        self.outer = torch.nn.Conv2d(16, channels, 3, padding=1)

    def forward(self, x, t):
        return self.outer(torch.tanh(self.inner(x) + 0.1 * t.reshape(-1, 1, 1, 1)))


class Doubling(torch.nn.Module):
    def decode(self, z):
        return torch.nn.functional.interpolate(z, scale_factor=2)


def load():
    torch.manual_seed(0)
    return KarrasDenoiser(Network(), VPSchedule())


def latent():
    return load(), Doubling()


def wrong():
    return Network()


def broken():
    raise ValueError("no such file")
""",
        encoding="utf-8",
    )
    return str(path)

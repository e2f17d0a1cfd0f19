"""Programs: TorchScript files, exported programs, and functions of the user's own."""

import json
import pickle
import warnings
import zipfile

import pytest
import torch
from running import run_cli
from torch import nn

from equidiff.builtin.objectives.classifier import count_logits
from equidiff.contracts import BuildContext
from equidiff.errors import PluginError, UnknownNameError, UnsupportedError, UsageError, WeightsError
from equidiff.networks import Units, describe_layers, load_network
from equidiff.run.info import is_custom

SIDE = 32
SAMPLES = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
OWN = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

def pair():
    return make(), lambda samples: samples.expand(-1, 3, -1, -1) * 2 - 1

def number():
    return 3

def random():
    return nn.Sequential(nn.Conv2d(3, 4, 3), Noise())

class Noise(nn.Module):
    def forward(self, values):
        return values + torch.rand_like(values)

def broken():
    raise RuntimeError("no disk")
"""


class Block(nn.Module):
    """A branch, an operation in place on a value that is used again, and a function in between."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.late = nn.Conv2d(4, 4, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, values):
        after = self.act(self.conv(values)) * 2
        after += values
        after = self.late(after) if after.shape[0] > 0 else after
        return nn.functional.relu(after)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.bias = nn.Parameter(torch.rand(4, 1, 1))
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(4, 5)

    def forward(self, images, scale: float = 1.0):
        return self.classify(self.features(images) * scale)

    def features(self, images):
        values = self.stem(images) + self.bias
        for block in self.blocks:
            values = block(values)
        return values

    def classify(self, values):
        return self.head(values.mean((2, 3)))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Small().eval()


def save_script(module, path, how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.script(module) if how == "script" else torch.jit.trace(module, SAMPLES)
        torch.jit.save(script, path)


def export(module, path, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, (SAMPLES,), **arguments), path)


DYNAMIC = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}


def rewrite(source, path, change):
    """Copy an archive, with the content of its files changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def load(model, **options):
    return load_network(model, context=BuildContext(), **{"checkpoint": None, **options})


def check_same(network, module, layer, own_layer):
    """Values, gradients and a layer are those of the module."""
    ours, theirs = SAMPLES.clone().requires_grad_(), SAMPLES.clone().requires_grad_()
    own, wanted = network.module(ours), module(theirs)
    torch.testing.assert_close(own, wanted, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(own.square().sum(), ours)
    (expected,) = torch.autograd.grad(wanted.square().sum(), theirs)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
    seen = []
    handle = own_layer.register_forward_hook(lambda _module, _arguments, output: seen.append(output.clone()))
    module(SAMPLES)
    handle.remove()
    units = Units.at(network, layer)
    torch.testing.assert_close(units.tap.read(SAMPLES), seen[0], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(units.tap.read(1 - SAMPLES), seen[0], atol=1e-3)  # the control: other samples differ


@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_is_read_layer_by_layer(small, tmp_path, how):
    save_script(small, tmp_path / "net.pt", how)
    context = BuildContext()
    network = load_network(f"torchscript:{tmp_path / 'net.pt'}", None, context, size=SIDE, std=0.5)
    check_same(network, small, "blocks.1.act", small.blocks[1].act)
    check_same(network, small, "blocks.0", small.blocks[0])
    assert network.head == "head"
    assert network.sample_shape == (3, SIDE, SIDE)
    torch.testing.assert_close(network.prepare(SAMPLES), SAMPLES / 0.5)
    layers = {layer.name: layer for layer in describe_layers(network)}
    assert layers["blocks.0.conv"].type == "Conv2d"
    assert ("blocks.0.late" in layers) is (how == "trace")  # a branch stays in TorchScript, and a trace has none
    assert context.weights[0].name == "net.pt"


def test_a_module_that_cannot_be_cut_stays_whole(tmp_path):
    """The weights of a fused attention are undefined, which does not pass through Python."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    module = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.Flatten(2), nn.Unflatten(1, (16, 1)), nn.Flatten(1, 2), layer)
    module = nn.Sequential(module[0], nn.Flatten(2), nn.Linear(16, 16), layer, nn.Flatten(), nn.Linear(256, 5)).eval()
    save_script(module, tmp_path / "net.pt", "script")
    network = load(f"torchscript:{tmp_path / 'net.pt'}", size=SIDE)
    with torch.no_grad():
        torch.testing.assert_close(network.module(SAMPLES), module(SAMPLES), rtol=1e-4, atol=1e-5)


def test_other_files_are_no_torchscript(small, tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load(f"torchscript:{tmp_path / 'none.pt'}")
    torch.save(small.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="not a TorchScript file"):
        load(f"torchscript:{tmp_path / 'weights.pt'}")
    save_script(small, tmp_path / "net.pt", "script")
    with pytest.raises(UsageError, match="contains its weights"):
        load(f"torchscript:{tmp_path / 'net.pt'}", checkpoint="weights.pt")
    with pytest.raises(UnknownNameError, match="no layer of torchscript:"):
        Units.at(load(f"torchscript:{tmp_path / 'net.pt'}", size=SIDE), "blocks.2")


class Bare(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


def test_a_program_without_layers_is_a_classifier_at_most(tmp_path):
    save_script(Bare(), tmp_path / "net.pt", "script")
    network = load(f"torchscript:{tmp_path / 'net.pt'}", size=SIDE)
    assert count_logits(network) == 3
    for layer in (None, "layer4"):
        with pytest.raises(UnsupportedError, match="no layers with names"):
            Units.at(network, layer)
    shown = run_cli("show", "objective", "neuron", "--model", f"torchscript:{tmp_path / 'net.pt'},size=32")
    assert shown.code == 0
    assert "no layers with names" in shown.stderr


def test_exported_programs_are_read_layer_by_layer(small, tmp_path):
    export(small, tmp_path / "net.pt2", **DYNAMIC)
    network = load(f"exported:{tmp_path / 'net.pt2'}")
    check_same(network, small, "blocks.1.act", small.blocks[1].act)
    assert network.sample_shape == (3, SIDE, SIDE)  # the program tells the size
    assert network.head == "head"
    assert network.prepare(torch.rand(2, 1, 50, 40)).shape == (2, 3, SIDE, SIDE)


def test_exported_programs_for_one_size_of_batch_are_refused(small, tmp_path):
    export(small, tmp_path / "net.pt2")
    with pytest.raises(UnsupportedError, match="batches of exactly 3"):
        load(f"exported:{tmp_path / 'net.pt2'}")
    (tmp_path / "text.pt2").write_text("no archive")
    with pytest.raises(WeightsError, match="not an exported program"):
        load(f"exported:{tmp_path / 'text.pt2'}")


class Marks:
    """An object whose unpickling leaves a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("way", ["sample inputs", "weights", "expression", "operation"])
def test_exported_programs_that_would_run_code_are_refused(small, tmp_path, way):
    export(small, tmp_path / "net.pt2", **DYNAMIC)
    mark = tmp_path / "ran"
    expression = f"open({str(mark)!r}, 'w')".replace("'", "\\'")

    def change(name, content):
        if way == "sample inputs" and "sample_inputs" in name:
            return pickle.dumps(Marks(mark))
        if way == "weights" and name.endswith("weights_config.json"):
            return content.replace(b'"use_pickle": false', b'"use_pickle": true')
        if way == "weights" and name.endswith("weight_0"):
            return pickle.dumps(Marks(mark))
        if "/models/" in name:
            text = content.decode()
            if way == "expression":
                return json.dumps(replaced(json.loads(text), "expr_str", expression)).encode()
            if way == "operation":
                return text.replace("torch.ops.aten.relu.default", "torch.hub.load").encode()
        return content

    rewrite(tmp_path / "net.pt2", tmp_path / "bad.pt2", change)
    with pytest.raises(UnsupportedError, match="which would run code"):
        load(f"exported:{tmp_path / 'bad.pt2'}")
    assert not mark.exists()
    rewrite(tmp_path / "net.pt2", tmp_path / "copy.pt2", lambda _name, content: content)
    assert load(f"exported:{tmp_path / 'copy.pt2'}").head == "head"  # the control: unchanged, it loads


def test_exported_programs_are_not_what_they_seem(small, tmp_path, monkeypatch, capfd):
    export(small, tmp_path / "net.pt2", **DYNAMIC)
    whole = tmp_path / "net.pt2"
    rewrite(whole, tmp_path / "cut.pt2", lambda name, content: content[:99] if "/models/" in name else content)
    # torch falls back to an older format, whose members nothing here looks into
    (tmp_path / "older.pt2").write_bytes(whole.read_bytes())
    with zipfile.ZipFile(tmp_path / "older.pt2", "a") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    # Python's reader skips what stands before an archive, torch's counts from the beginning of the file
    (tmp_path / "before.pt2").write_bytes(whole.read_bytes() + whole.read_bytes())
    for name in ("cut", "older", "before"):
        with pytest.raises(WeightsError, match=r"archive|program"):
            load(f"exported:{tmp_path / name}.pt2")
    assert "Traceback" not in capfd.readouterr().err
    monkeypatch.setattr("equidiff.networks.checkpoints.archives.MOST_MORE", -(2**30))
    with pytest.raises(WeightsError, match="would unpack to"):
        load(f"exported:{whole}")


def replaced(value, key, text):
    if isinstance(value, dict):
        return {name: text if name == key else replaced(part, key, text) for name, part in value.items()}
    return [replaced(part, key, text) for part in value] if isinstance(value, list) else value


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_function_returns_a_network(own, tmp_path):
    network = load(f"module:{own}:make", size=SIDE, mean=(0.5, 0.4, 0.3), std=0.2)
    assert network.head == "4"
    assert network.sample_shape == (3, SIDE, SIDE)
    wanted = (SAMPLES - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / 0.2
    torch.testing.assert_close(network.prepare(SAMPLES), wanted)
    pair = load(f"module:{own}:pair")
    torch.testing.assert_close(pair.prepare(SAMPLES), SAMPLES * 2 - 1)
    state = {name: value + 1 for name, value in network.module.state_dict().items()}
    torch.save(state, tmp_path / "weights.pt")
    other = load(f"module:{own}:make", size=SIDE, checkpoint=str(tmp_path / "weights.pt"))
    assert torch.equal(other.module.state_dict()["0.weight"], state["0.weight"])


@pytest.mark.parametrize(
    ("name", "error", "why"),
    [
        ("number", PluginError, "does not return a network"),
        ("broken", PluginError, "raised RuntimeError: no disk"),
        ("random", UnsupportedError, "another result when it is called again"),
        ("maek", UnknownNameError, "make"),
    ],
)
def test_functions_that_return_no_network(own, name, error, why):
    with pytest.raises(error, match=why):
        load(f"module:{own}:{name}")


def test_options_that_do_not_apply(own):
    with pytest.raises(UsageError, match="cannot be used"):
        load(f"module:{own}:pair", size=SIDE)
    with pytest.raises(UsageError, match="decides what the network is"):
        load(f"module:{own}:make", pretrained="best")


def test_a_run_folder_does_not_run_programs_by_itself(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_custom("neuron:0 + 2*layer:a,model=exported:a.pt2")
    assert not is_custom("neuron:0,model=hf:module/torchscript")
    spec = "neuron:0.3,model=module:own.py:make,size=32"
    ran = run_cli(
        "run", "-g", "toy:fashion,steps=2", "-o", spec, "--query", 3, "-n", 1, "--budget", 40, "--out", "found"
    )
    assert ran.code == 0, ran.stderr
    refused = run_cli("evaluate", "found")
    assert refused.code == 1
    assert "would be executed" in refused.stderr
    shown = run_cli("show", "objective", "neuron", "--model", "module:own.py:make,size=32", "--json")
    assert json.loads(shown.stdout)[0] == {"name": "0", "type": "Conv2d", "shape": [4, 30, 30]}


def test_a_path_without_a_prefix_is_told_which_it_needs(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").touch()
    wanted = {
        "own.py": "model=module:own.py:FUNCTION",
        str(tmp_path): f"model=hf:{tmp_path}",
        "weights.safetensors": "model=resnet50,checkpoint=weights.safetensors",
    }
    for path, hint in wanted.items():
        with pytest.raises(UsageError, match="needs a prefix") as refused:
            load(path)
        assert refused.value.hint == hint
    with pytest.raises(UnknownNameError, match="torchvision"):
        load("torchvison:resnet50")

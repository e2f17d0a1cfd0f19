"""Mistakes that an author of a plugin can make, each a change of `sound_plugin.py`, and words of their messages."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FILE = "my_plugin.py"
SOUND = Path(__file__).with_name("sound_plugin.py").read_text()


class Mistake(NamedTuple):
    """A mistake.

    Attributes:
        part: heading on the page.
        title: the mistake in words.
        sound: a part of the sound plugin.
        wrong: written in its place.
        words: words that the message must have.
        use: what a user does: "run", "check KIND", or another key of `USES`.
    """

    part: str
    title: str
    sound: str
    wrong: str
    words: tuple[str, ...]
    use: str = "run"


PLUGIN, FACTORY, GENERATOR, OBJECTIVE = "The file and its hooks", "Factories", "Generators", "Objectives"
REGULARIZER, OTHERS = "Regularizers", "Solvers, laws, attribution methods and executors"
DEEPER = "Found by `equidiff check`"
PARTS = (PLUGIN, FACTORY, GENERATOR, OBJECTIVE, REGULARIZER, OTHERS, DEEPER)
VALUES = "        return values\n"
IMAGES = "        return images\n"
HOOK = 'def equidiff_objectives():\n    return offer("brightness")'
FACTORY_OF = "def build_brightness(argument, options, context):\n    return Brightness(context.device)"
SOLVE = "            answer = yield from residual.gradient(latents)\n            yield Step(number, answer)\n"

MISTAKES = [
    Mistake(
        PLUGIN, "a misspelt import", "import torch\n", "import torch\nimport nunpy\n",
        (f"{FILE}:6", "did you mean numpy?"),
    ),
    Mistake(PLUGIN, "a syntax error", "class Spot(Generator):", "class Spot(Generator)", ("SyntaxError", "line 11")),
    Mistake(PLUGIN, "a descriptor without a summary", ', "For a test.", examples=(name,)', "", ("missing", "summary")),
    Mistake(
        PLUGIN, "a hook that returns one descriptor", 'return offer("brightness")', 'return offer("brightness")[0]',
        ("equidiff_objectives() returned a Descriptor", "return [Descriptor(...)]"),
    ),
    Mistake(
        PLUGIN, "a hook that returns names", 'return offer("brightness")', 'return ["brightness"]',
        ("equidiff_objectives() returned a list with a str", "return [Descriptor(...)]"),
    ),
    Mistake(
        PLUGIN, "a name with a comma", "Descriptor(name,", 'Descriptor(name + ",",',
        ("Descriptor.name is 'spot,'", f"{FILE}:122", "name='brightness'"),
    ),
    Mistake(
        PLUGIN, "a factory that is a function", 'f"{__name__}:build_{name}"', 'globals()[f"build_{name}"]',
        ("Descriptor.factory is a function", f"{FILE}:122", "factory='equidiff_file_my_plugin:build_spot'"),
    ),
    Mistake(
        PLUGIN, "a summary that is no text", '"For a test.", examples=(name,)', 'None',
        ("Descriptor.summary is None", f"{FILE}:122", "write a text"),
    ),
    Mistake(
        PLUGIN, "examples that are a text", "examples=(name,)", "examples=(name)",
        ("Descriptor.examples is 'spot'", f"{FILE}:122", "examples=('spot',)"),
    ),
    Mistake(
        PLUGIN, "options that are a dictionary", "examples=(name,)", "options={}",
        ("Descriptor.options is {}", f"{FILE}:122", "a subclass of equidiff.plugin.Options"),
    ),
    Mistake(PLUGIN, "a misspelt hook", "def equidiff_objectives", "def equidiff_objektives", ("equidiff_objektives",)),
    Mistake(PLUGIN, "no hook at all: the mark is missing", "@hookimpl\n", "", ("offers no components", "@hookimpl")),
    Mistake(
        FACTORY, "a misspelt function", '"brightness")', '"brightnes")',
        ("There is no objective named 'brightness'", "brightnes"),
    ),
    Mistake(
        FACTORY, "a factory of another name", "def build_brightness", "def build_brigthness",
        ("no attribute 'build_brightness'", "build_brigthness", "factory="),
    ),
    Mistake(
        FACTORY, "a misspelt module", 'f"{__name__}:build_{name}"', 'f"{__name__[:-1]}m:build_{name}"',
        ("No module named", "did you mean", "factory="),
    ),
    Mistake(
        FACTORY, "a package that is not installed", FACTORY_OF,
        FACTORY_OF.replace("    return", "    import no_such_package\n    return"),
        ("needs a package that is missing", "pip install no_such_package", "import no_such_package"),
    ),
    Mistake(
        FACTORY, "an import that is misspelt", FACTORY_OF,
        FACTORY_OF.replace("    return", "    import nunpy\n    return"),
        ("needs a package that is missing", "did you mean", "import numpy"),
    ),
    Mistake(
        FACTORY, "a factory that raises", FACTORY_OF,
        FACTORY_OF.replace("return Brightness(context.device)", 'return {}["weights"]'),
        ("objective 'brightness' of plugin 'my_plugin'", "KeyError", "in build_brightness", '{}["weights"]'),
    ),
    Mistake(
        FACTORY, "a factory without its arguments", "def build_brightness(argument, options, context)",
        "def build_brightness(argument)", ("objective 'brightness'", "takes 1 positional argument"),
    ),
    Mistake(
        FACTORY, "a factory that returns the class", "return Brightness(context.device)", "return Brightness",
        ("returned the wrong type", "equidiff.Objective"),
    ),
    Mistake(
        GENERATOR, "a shape that is a number", "latent_shape = (4,)", "latent_shape = 4",
        ("Spot.latent_shape", "latent_shape = (16,)"),
    ),
    Mistake(
        GENERATOR, "a shape that is a list", "sample_shape = (1, 8, 8)", "sample_shape = [1, 8, 8]",
        ("self.sample_shape = (1, 8, 8)",),
    ),
    Mistake(GENERATOR, "a method without `steps`", "latents, steps=None)", "latents)", ("TypeError", "steps=None")),
    Mistake(
        GENERATOR, "images without channels", "reshape(-1, 1, 8, 8)", "reshape(-1, 8, 8)",
        ("shape (1, 8, 8)", "reshape(-1, 1, 8, 8)"),
    ),
    Mistake(GENERATOR, "a numpy array", IMAGES, "        return images.detach().numpy()\n", ("a ndarray", "no numpy")),
    Mistake(GENERATOR, "double precision", IMAGES, "        return images.double()\n", ("float64", ".float()")),
    Mistake(
        GENERATOR, "no gradient", IMAGES, "        return images.detach()\n",
        ("without a gradient", "return images.detach()"),
    ),
    Mistake(
        GENERATOR, "noise of its own", IMAGES, "        return images + 0.1 * torch.randn_like(images)\n",
        ("called twice", "torch.randn"),
    ),
    Mistake(
        GENERATOR, "statistics over the batch", IMAGES, "        return images - images.mean(dim=0) + 0.5\n",
        ("same row alone", "first axis"),
    ),
    Mistake(GENERATOR, "a change in place", "(latents @", "(latents.mul_(0.9) @", ("changed in place", "underscore")),
    Mistake(GENERATOR, "NaN", IMAGES, "        return images / 0 * 0\n", ("NaN", "division by zero")),
    Mistake(
        GENERATOR, "images in [-1, 1]", IMAGES, "        return 2 * images - 1\n",
        ("not in [0, 1]", "(images + 1) / 2"), "notes",
    ),
    Mistake(
        GENERATOR, "images in [0, 255]", IMAGES, "        return 255 * images\n", ("not in [0, 1]", "images / 255"),
        "notes",
    ),
    Mistake(
        GENERATOR, "images in [-14, 8]", IMAGES, "        return 22 * images - 14\n",
        ("not in [0, 1]", "(HIGH - LOW)"), "notes",
    ),
    Mistake(
        OBJECTIVE, "names as a string", 'names = ("brightness",)', 'names = ("brightness")',
        ("Brightness.names", "with the comma"),
    ),
    Mistake(
        OBJECTIVE, "a name too many", 'names = ("brightness",)', 'names = ("brightness", "contrast")',
        ("1 outputs have 2 names",),
    ),
    Mistake(
        OBJECTIVE, "a unit that is not a word", 'unit = "grey"', "unit = 1",
        ("Brightness.unit", 'unit = "activation"'),
    ),
    Mistake(OBJECTIVE, "one number for the batch", VALUES, "        return values.mean()\n", ("shape ()", "the batch")),
    Mistake(
        OBJECTIVE, "no axis of outputs", VALUES, "        return values[:, 0]\n",
        ("shape (1,)", "return result[:, None]"),
    ),
    Mistake(
        OBJECTIVE, "a number of Python", VALUES, "        return values.mean().item()\n", ("a float", "no .item()"),
    ),
    Mistake(OBJECTIVE, "whole numbers", VALUES, "        return (255 * values).long()\n", ("int64", ".long()")),
    Mistake(
        OBJECTIVE, "no gradient", VALUES, "        return values.detach()\n",
        ("without a gradient", "return values.detach()", ".detach()"),
    ),
    Mistake(
        OBJECTIVE, "a way through numpy", VALUES, "        return torch.from_numpy(values.detach().numpy())\n",
        ("without a gradient", "numpy"),
    ),
    Mistake(
        OBJECTIVE, "batch normalization in training mode", "BatchNorm2d(1).eval()", "BatchNorm2d(1)",
        ("same row alone", "self.norm.eval()", "BatchNorm2d"),
    ),
    Mistake(
        OBJECTIVE, "dropout in training mode", "Dropout(0.5).eval()", "Dropout(0.5)",
        ("called twice", "self.drop.eval()", "Dropout"),
    ),
    Mistake(OBJECTIVE, "NaN", VALUES, "        return (values - 2).log()\n", ("NaN", "log or root")),
    Mistake(
        OBJECTIVE, "a gradient that is not finite", VALUES, "        return values + (values - values).sqrt()\n",
        ("gradient with NaN", "clamp"),
    ),
    Mistake(
        OBJECTIVE, "an exception", VALUES, '        raise ValueError("no face found")\n',
        ("no face found", f"{FILE}:", "in measure"),
    ),
    Mistake(
        OBJECTIVE, "a tensor on another device", VALUES, "        return values.cpu()\n",
        ("a tensor on cpu", ".to(context.device)"), "device",
    ),
    Mistake(
        OBJECTIVE, "a random function of `custom:`", "def build_spot",
        "def noisy(samples):\n    return samples.flatten(1).mean(1) + torch.rand(len(samples))\n\n\ndef build_spot",
        ("called twice", "no random numbers"), "custom",
    ),
    Mistake(
        REGULARIZER, "views that are not a list", "        return views\n", "        return views[0]\n",
        ("a list of tensors", "return [view]"),
    ),
    Mistake(
        REGULARIZER, "a view of another size", "        return views\n", "        return [samples[..., ::2, ::2]]\n",
        ("shape (2, 1, 4, 4)", "interpolate"),
    ),
    Mistake(
        REGULARIZER, "NaN in a view", "        return views\n", "        return [samples / 0 * 0]\n",
        ("Shift.views", "NaN"),
    ),
    Mistake(
        REGULARIZER, "a negative penalty", "        return amounts\n", "        return -amounts\n",
        ("at least 0", "penalty.square()"),
    ),
    Mistake(
        REGULARIZER, "one penalty for the batch", "        return amounts\n", "        return amounts.mean()\n",
        ("Shift.penalty", "one amount for each row"),
    ),
    Mistake(OTHERS, "a solver without a budget", "budget = 100", "pass", ("Descent.budget", "budget = 100")),
    Mistake(
        OTHERS, "a solver that does not yield", SOLVE, "            answer = residual.gradient(latents)\n",
        ("Descent.solve()", "yield"), "search",
    ),
    Mistake(
        OTHERS, "a solver that yields its answers", "yield Step(number, answer)", "yield answer",
        ("yielded a GradientAnswer", "yield Step(...)"), "search",
    ),
    Mistake(
        OTHERS, "a solver that never ends", "            yield Step(number, answer)\n",
        "            while True:\n                yield Step(number, answer)\n", ("asked for nothing between them",),
        "search",
    ),
    Mistake(
        OTHERS, "a solver that raises", "yield Step(number, answer)", 'raise RuntimeError("singular matrix")',
        ("singular matrix",), "search",
    ),
    Mistake(OTHERS, "a law that does not yield", "        yield from ()\n", "", ("Still.sample()", "yield"), "search"),
    Mistake(
        OTHERS, "a map of another shape", "        return maps\n", "        return maps.mean(dim=(2, 3))\n",
        ("Slope does not return a map",), "explain",
    ),
    Mistake(
        OTHERS, "a map that is not finite", "        return maps\n", "        return maps / 0\n",
        ("Slope returns values that are not finite",), "explain",
    ),
    Mistake(
        OTHERS, "an executor without workers", "workers = 1", "workers = 0", ("Inline.workers", "self.workers = 1"),
        "executor",
    ),
    Mistake(
        DEEPER, "a tensor that stays on the CPU", "self.weights.to(latents.device)", "self.weights",
        ("Spot.generate mixes devices", ".to(context.device)"), "check generator",
    ),
    Mistake(
        DEEPER, "images in [-1, 1]", IMAGES, "        return 2 * images - 1\n",
        ("values from -", "(images + 1) / 2"), "check generator",
    ),
    Mistake(
        DEEPER, "a gradient through a part of the computation", VALUES, "        return values * values.detach()\n",
        ("wrong gradient", "detached, clamped or rounded"), "check objective",
    ),
    Mistake(
        DEEPER, "a seed for the whole process", VALUES, "        torch.manual_seed(0)\n        return values\n",
        ("changes the seed of torch", "generator="), "check objective",
    ),
    Mistake(
        DEEPER, "random numbers of the whole process", VALUES, "        torch.rand(1)\n        return values\n",
        ("changes torch's random numbers", "a torch.Generator of its own"), "check objective",
    ),
    Mistake(
        OBJECTIVE, "gradients turned off for the whole process", VALUES,
        "        torch.set_grad_enabled(False)\n        return values\n",
        ("gradients turned off for the whole process", "with torch.no_grad()"),
    ),
    Mistake(
        DEEPER, "options defined inside a function", '"For a test.", examples=(name,)',
        '"For a test.", examples=(name,), options=type("Inner", (Options,), {})', ("cannot be pickled", "module's top"),
        "check objective",
    ),
    Mistake(
        DEEPER, "a solver that goes on when it is done", "                return\n", "                pass\n",
        ("goes on when it is done", "no step after the one"), "check solver",
    ),
    Mistake(
        DEEPER, "an executor that takes calls after its end", "self.open = False", "pass",
        ("takes calls after its shutdown", "an exception"), "check executor",
    ),
]  # fmt: skip

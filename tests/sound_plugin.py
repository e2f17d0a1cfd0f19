"""A sound plugin of one file, a component of each kind; `mistakes.py` breaks it, one line at a time."""

from concurrent.futures import Future

import torch

from equidiff.contracts import Attribution, Executor, Generator, Law, Objective, Regularizer, Solver, Step
from equidiff.plugin import Descriptor, Options, hookimpl


class Spot(Generator):
    latent_shape = (4,)
    sample_shape = (1, 8, 8)

    def __init__(self):
        self.weights = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))

    def generate(self, latents, steps=None):
        images = (latents @ self.weights.to(latents.device)).sigmoid().reshape(-1, 1, 8, 8)
        return images


class Brightness(Objective):
    names = ("brightness",)
    unit = "grey"

    def __init__(self, device):
        self.norm = torch.nn.BatchNorm2d(1).eval().to(device)
        self.drop = torch.nn.Dropout(0.5).eval()

    def measure(self, samples):
        values = self.drop(self.norm(samples)).flatten(1).mean(dim=1, keepdim=True)
        return values


class Shift(Regularizer):
    def views(self, samples):
        views = [samples.roll(1, dims=-1)]
        return views

    def penalty(self, samples, latents):
        amounts = (samples.flatten(1).mean(dim=1) - 0.45).square()
        return amounts


class Descent(Solver):
    budget = 100

    def solve(self, latents, residual, budget):
        for number in range(100):
            answer = yield from residual.gradient(latents)
            yield Step(number, answer)
            if answer.loss.item() < residual.tolerance:
                return
            step = answer.loss * answer.gradient / answer.gradient.square().sum().clamp(min=1e-12)
            latents = latents - step / step.norm().clamp(min=1)


class Still(Law):
    def sample(self, start, residual):
        yield from ()
        return None


class Slope(Attribution):
    local = True

    def attribute(self, scalar, samples):
        leaf = samples.clone().requires_grad_()
        (maps,) = torch.autograd.grad(scalar(leaf).sum(), leaf)
        return maps


class Inline(Executor):
    workers = 1

    open = True

    def submit(self, function, /, *args):
        if not self.open:
            raise RuntimeError("it was shut down")
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, *, wait=True, cancel_futures=False):
        self.open = False


def build_spot(argument, options: Options, context):
    return Spot()


def build_brightness(argument, options, context):
    return Brightness(context.device)


def build_shift(argument, options, context):
    return Shift()


def build_descent(argument, options, context):
    return Descent()


def build_still(argument, options, context):
    return Still()


def build_slope(argument, options, context):
    return Slope()


def build_here(argument, options, context):
    return Inline()


def offer(name):
    return [Descriptor(name, f"{__name__}:build_{name}", "For a test.", examples=(name,))]


@hookimpl
def equidiff_generators():
    return offer("spot")


@hookimpl
def equidiff_objectives():
    return offer("brightness")


@hookimpl
def equidiff_regularizers():
    return offer("shift")


@hookimpl
def equidiff_solvers():
    return offer("descent")


@hookimpl
def equidiff_laws():
    return offer("still")


@hookimpl
def equidiff_attributions():
    return offer("slope")


@hookimpl
def equidiff_executors():
    return offer("here")

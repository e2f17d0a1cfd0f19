"""A generator of rows, whose columns have names as strangers may give them, and an objective of two columns."""

from equidiff.contracts import Generator, Objective
from equidiff.plugin import Column, Descriptor, Table, hookimpl

COLUMNS = (
    Column("mass", unit="kg", low=0, high=120),
    Column("=cmd|' /C calc'!A0", low=-3, high=3),
    Column("<img src=x onerror=alert(1)>", unit="m", low=1, high=2.2),
    Column("age$^{x", unit="a", low=0, high=100),
)


class Rows(Generator):
    latent_shape, sample_shape = (4,), (4,)
    kind = Table(COLUMNS)

    def generate(self, latents, steps=None):
        return latents.new_tensor([70, 0, 1.7, 45]) + latents.new_tensor([15, 1, 0.1, 15]) * latents


class MassIndex(Objective):
    names, unit = ("body mass index",), "kg/m2"

    def measure(self, samples):
        return samples[:, :1] / samples[:, 2:3].clamp(min=0.5).square()


def make_rows(argument, options, context):
    return Rows()


def make_index(argument, options, context):
    return MassIndex()


@hookimpl
def equidiff_generators():
    return [Descriptor("rows", f"{__name__}:make_rows", "Rows of four columns.")]


@hookimpl
def equidiff_objectives():
    return [Descriptor("bmi", f"{__name__}:make_index", "An index of mass and height.")]

"""The component of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from equidiff.plugin import Descriptor, Reference, hookimpl

RADFORD = Reference(
    "radford2016dcgan",
    "Radford, Alec and Metz, Luke and Chintala, Soumith",
    "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
    2016,
    "https://arxiv.org/abs/1511.06434",
)


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """A small GAN of faces."""
    return [
        Descriptor(
            name="faces",
            factory="equidiff_faces.generator:build",
            summary="A small GAN of synthetic faces, 64x64 in colour, with weights from gan-face-generate on PyPI.",
            references=(RADFORD,),
            examples=("faces",),
        )
    ]

"""Weights files of every kind that people have on their disks, read without running code in them."""

from equidiff.networks.checkpoints.content import Kind, recognise
from equidiff.networks.checkpoints.files import hash_weights, read_index, weights_files
from equidiff.networks.checkpoints.fit import COUNTER, beneath_prefix, misfits, put_weights
from equidiff.networks.checkpoints.read import Checkpoint, check_tensors, read_checkpoint, read_content, read_weights

__all__ = [
    "COUNTER",
    "Checkpoint",
    "Kind",
    "beneath_prefix",
    "check_tensors",
    "hash_weights",
    "misfits",
    "put_weights",
    "read_checkpoint",
    "read_content",
    "read_index",
    "read_weights",
    "recognise",
    "weights_files",
]

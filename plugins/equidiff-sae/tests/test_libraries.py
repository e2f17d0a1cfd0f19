"""Each library's own autoencoders: the features that it computes itself, from files kept here and from new ones."""

import json

import pytest
import torch
from equidiff_sae import load_sae
from equidiff_sae.feature import Feature
from sae_families import CASES, GIVEN, GOLDEN, Made, import_library, library
from safetensors.torch import load_file

PATHS = json.loads((GOLDEN / "README.json").read_text())["paths"]
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def check(made, given=GIVEN):
    autoencoder = load_sae(made.path)
    features = autoencoder.encode(given)
    torch.testing.assert_close(features, made.features, **TOLERANCE)
    assert 0.02 < (features != 0).float().mean() < 0.99 or autoencoder.config.activation == "quantized"
    torch.testing.assert_close(autoencoder.reconstruct(given), made.reconstruction, **TOLERANCE)
    for index in range(autoencoder.config.d_sae):
        reading = Feature(autoencoder, index).read(given)
        torch.testing.assert_close(reading.value, made.features[:, index], **TOLERANCE)
        assert (reading.deficit[reading.value != 0] == 0).all()
        assert (reading.deficit[reading.value == 0] < 0).all()


@pytest.mark.parametrize("case", CASES)
def test_features_of_files_that_the_library_wrote(case):
    expected = load_file(GOLDEN / case / "io.safetensors")
    check(Made(GOLDEN / PATHS[case], expected["features"], expected["reconstruction"]))


@pytest.mark.parametrize("case", CASES)
def test_features_that_the_library_computes_now(case, tmp_path):
    if not import_library(library(case)):
        pytest.skip(f"{library(case)} is not installed; see sae_families.py")
    check(CASES[case](tmp_path / case))

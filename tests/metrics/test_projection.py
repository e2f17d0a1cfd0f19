"""Principal components, against the singular value decomposition."""

import numpy as np
import pytest
import torch

from equidiff.metrics.projection import principal_components


@pytest.mark.parametrize(("rows", "size"), [(7, 50), (50, 7), (4, 4)])
def test_components_are_those_of_the_singular_value_decomposition(rows, size):
    features = torch.randn(rows, size, generator=torch.Generator().manual_seed(0)) + 5
    found, shares = principal_components(features)
    values = features.double().numpy()
    left, lengths, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * lengths[:2]
    np.testing.assert_allclose(found.abs(), np.abs(expected), atol=1e-6)
    np.testing.assert_allclose(shares, lengths[:2] ** 2 / (lengths**2).sum(), atol=1e-9)
    # the free sign: the largest coordinate is positive
    assert (found.gather(0, found.abs().argmax(dim=0, keepdim=True)) > 0).all()


def test_distances_along_a_line_are_kept():
    found, shares = principal_components(torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    np.testing.assert_allclose(found[:, 0].abs(), [5, 0, 5], atol=1e-9)
    np.testing.assert_allclose(found[:, 1], 0, atol=1e-6)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-9)


@pytest.mark.parametrize("features", [torch.ones(3, 4), torch.ones(1, 4), torch.ones(2, 1)])
def test_rows_that_do_not_vary_are_one_point(features):
    found, shares = principal_components(features)
    assert found.shape == (len(features), 2)
    assert (found == 0).all()
    assert shares == [0.0, 0.0]

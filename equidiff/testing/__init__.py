"""Checks of the contracts, for authors of plugins to call from pytest.

    from equidiff.testing import check_objective, check_plugin

    def test_plugin():
        check_plugin("my_package.plugin")

    def test_brightness():
        check_objective(Brightness(), torch.rand(4, 1, 28, 28))

Each check raises `ContractError`, an AssertionError, that says what is wrong and what the contract requires.
"""

from equidiff.testing.attribution import check_attribution
from equidiff.testing.executor import check_executor
from equidiff.testing.failure import ContractError
from equidiff.testing.generator import check_generator
from equidiff.testing.law import check_law
from equidiff.testing.objective import check_objective
from equidiff.testing.plugin import check_plugin, load_plugins
from equidiff.testing.regularizer import check_regularizer
from equidiff.testing.solver import Drive, check_solver, drive, easy_problem

__all__ = [
    "ContractError",
    "Drive",
    "check_attribution",
    "check_executor",
    "check_generator",
    "check_law",
    "check_objective",
    "check_plugin",
    "check_regularizer",
    "check_solver",
    "drive",
    "easy_problem",
    "load_plugins",
]

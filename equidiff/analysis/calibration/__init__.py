"""The rank test of a search: whether its members follow the law of the data, given the measurement.

A query drawn from the data is itself a draw from its own set. If members are drawn by the right law, its rank among
them is uniform, whatever statistic of a sample orders them.

References:
    Talts et al. (2018), "Validating Bayesian inference algorithms with simulation-based calibration".
        https://arxiv.org/abs/1804.06788
"""

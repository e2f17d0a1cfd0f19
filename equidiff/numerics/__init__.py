"""Numerical methods: random streams, the Gaussian prior, Newton steps, flows."""

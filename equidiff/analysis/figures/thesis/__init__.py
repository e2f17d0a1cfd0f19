"""The figures of the thesis, drawn from a run."""

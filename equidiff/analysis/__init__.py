"""Analysis of a finished run: evaluation, comparison with attributions, figures, paths, selections, the report."""

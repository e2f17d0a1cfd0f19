"""A trial of each component that is not EquiDiff's own, before a run: a few calls with two rows.

What a trial finds costs one panel that names the plugin, the method, what came back and the line to write instead.
`equidiff check` and `equidiff.testing` look deeper, and take longer.
"""

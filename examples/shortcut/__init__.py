"""The parts of `examples/planted_shortcut.py`: pictures with a mark, networks, the criterion, maps, drawing."""

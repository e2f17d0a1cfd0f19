"""The parts of `examples/planted_shortcut.py`: images with a mark, networks, criterion, maps and figure."""

"""What `equidiff doctor` examines: the installation, the components of a run, the memory of a pass."""

"""Attribution maps of a run's query and members, and the numbers by which methods are compared."""

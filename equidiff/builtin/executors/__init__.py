"""Executors that ship: this process, processes of this machine, a ray cluster, and SLURM."""

"""Output folders of commands: their paths, their status, and files that are written in one move."""

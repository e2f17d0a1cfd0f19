"""Handlers of the commands: each runs one command and prints before, during and after it."""

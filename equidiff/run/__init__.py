"""One run: its settings, the session that they build, its execution, and the folder that it leaves."""

"""Commands as Typer sees them: options, and the handler that each calls. Importing one imports no torch."""

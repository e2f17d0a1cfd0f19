"""Finding plugins and building their components from spec strings. Importing this package imports no torch."""

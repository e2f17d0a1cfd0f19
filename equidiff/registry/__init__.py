"""The registry: it finds plugins and builds their components from specs. Importing it imports no torch."""

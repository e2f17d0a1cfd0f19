"""Banks: prior samples of a generator, numbered from 0, made once and kept with their measurements."""

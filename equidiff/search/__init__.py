"""The search for latents: the equation, the engine that runs solvers on many samples at once, where they start."""

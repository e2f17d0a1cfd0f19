"""XAI-TRIS, made anew: attribution methods on images whose pixels that matter are known."""

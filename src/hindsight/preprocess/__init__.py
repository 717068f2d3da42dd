"""Convert a source to the pipeline's fields, and compute their climatology and statistics."""

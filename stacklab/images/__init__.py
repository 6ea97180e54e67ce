"""Base images: their catalogue, sources, builds and store."""

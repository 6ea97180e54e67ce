"""Programs and libraries that we call: one module each, pure where it can be."""

"""Base images: where they come from, how they are built, where they are kept."""

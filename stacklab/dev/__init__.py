"""Tasks for those who work on stacklab itself: benchmarks and its own test suite."""

"""The sample data set that the project draws itself: 133 breeds, the same on every machine."""

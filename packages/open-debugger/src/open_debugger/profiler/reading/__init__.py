"""Reading a recording, wherever it lies and whatever wrote it."""

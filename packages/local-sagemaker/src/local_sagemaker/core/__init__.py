"""What every other room rests on: the store, errors, and checks against AWS's own model."""

"""The rules, one module for each kind of tensor that they look at."""

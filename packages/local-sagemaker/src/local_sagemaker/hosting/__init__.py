"""Models, endpoints, and the instances that serve requests."""

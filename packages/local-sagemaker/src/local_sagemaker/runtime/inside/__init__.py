"""What runs inside a container's own processes."""

"""What the course asks of an AWS account beside its jobs: rights, prices, and what still stands."""

"""Training jobs: their operations, and each job from its channels to its outputs."""

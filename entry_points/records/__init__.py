"""What a run writes about itself: tensors, step times, scalars, results. Nothing here learns."""

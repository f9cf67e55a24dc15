"""The ladder of proofs: every level of the same network on the same images, and where they differ."""

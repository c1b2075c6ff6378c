"""The areas of the test vectors: cases, and how the project's own code answers them."""

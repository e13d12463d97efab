"""The seven steps, one file each with both ends of its dialogue, and each role's machine as one page."""

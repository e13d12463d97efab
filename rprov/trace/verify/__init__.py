"""Checks a run from its capture and a key log alone: an independent reading, beside the endpoints that made the run."""

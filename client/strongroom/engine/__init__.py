"""The storage engine's I/O half: reading verified snapshots, writing runs, folding, merging."""

"""Engines: what wakes the two verbs. The store holds the truth, so correctness never depends on an engine."""

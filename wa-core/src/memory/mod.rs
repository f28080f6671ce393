//! The reference store: simple, slow, obviously right; the oracle of the model tests.

//! What an embedder calls.

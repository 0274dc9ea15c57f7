//! Harnesses: one function each, run as property test, fuzz target and replay of a corpus (RELIABILITY.md F1 to F4).

//! Tests that need several of bertram's crates; they are in `tests/`.

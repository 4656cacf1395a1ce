//! The house rules of ARCHITECTURE.md and CONTRIBUTING.md, as tests.
//!
//! What it is: text checks over the checkout, for what neither the compiler nor clippy sees.
//! What it is not: a linter for style; `cargo fmt` and clippy are.

#[cfg(test)]
mod tests;

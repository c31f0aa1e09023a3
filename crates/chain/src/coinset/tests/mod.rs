//! Chains made by hand and by chance, against a map of their coins.
#![cfg(feature = "engine")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod core_chain;
mod culprits;
mod made_chain;
mod makers;

//! Who is connected, and how a no reaches them.

pub mod sessions;

//! Who is connected, and how a no reaches them.

mod seen;
pub mod sessions;

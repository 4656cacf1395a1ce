//! A hub's registry API.

//! The driver crate of partwise.

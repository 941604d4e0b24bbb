//! The storage crate of partwise.

//! The partwise crate of partwise.

//! A flag that all processes share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A flag that one process raises and all processes learn of within moments.
///
/// It has two parts, so that a process can tell its own flag from that of another one.
#[derive(Debug, Clone, Default)]
pub struct Flag {
    /// This process raises the flag. The program sets it; this crate only reads it.
    pub own: Arc<AtomicBool>,
    /// Some process raises the flag. This crate sets it and never reads it.
    pub heard: Arc<AtomicBool>,
}

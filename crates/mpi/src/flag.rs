//! A flag that all processes share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A flag that, once it is up in one process, all learn of within moments.
///
/// Two of them, so that a process can tell what it was told itself from what it has heard.
#[derive(Debug, Clone, Default)]
pub struct Flag {
    /// Whether this process raises it.
    pub own: Arc<AtomicBool>,
    /// Whether any process has; set, never read.
    pub heard: Arc<AtomicBool>,
}

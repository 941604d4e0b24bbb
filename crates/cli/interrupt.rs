//! Signals. Ctrl-C: the first asks the work to end cleanly, the second ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use crate::failure::Code;

/// Arms SIGINT and SIGTERM (a batch system's way of saying the same) and returns the flag that the first one sets.
pub(crate) fn arm() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the shutdown looks at the flag before this very signal sets it.
        signal_hook::flag::register_conditional_shutdown(signal, Code::Interrupted as i32, Arc::clone(&asked))?;
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    // A file larger than the system's limit (`ulimit -f`) then is an error of the write, which cleans up, and no death.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(asked)
}

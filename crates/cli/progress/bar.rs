//! Progress as a bar, on a terminal.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use partwise::storage::Unit;

use super::rate;

/// The bar of the current stage, if there is one.
#[derive(Default)]
pub(super) struct Bar {
    stage: Mutex<Option<ProgressBar>>,
}

impl Bar {
    pub(super) fn start(&self, stage: &str, total: u64, unit: Unit) {
        let template = if total > 0 {
            "{msg} {wide_bar:.cyan/blue} {percent:>3} %  {speed}  {eta} left"
        } else {
            "{msg} {spinner}  {speed}  {elapsed}"
        };
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let style = style.with_key("speed", move |state: &ProgressState, text: &mut dyn Write| {
            let _ = text.write_str(&rate(state.pos(), unit, state.elapsed()));
        });
        let bar = if total > 0 { ProgressBar::new(total) } else { ProgressBar::new_spinner() };
        bar.set_style(style.progress_chars("━━─"));
        bar.set_message(stage.to_owned());
        // The bar shows the passing time even if a step takes long.
        bar.enable_steady_tick(Duration::from_millis(250));
        *self.stage() = Some(bar);
    }

    pub(super) fn advance(&self, done: u64) {
        if let Some(bar) = &*self.stage() {
            bar.inc(done);
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = self.stage().take() {
            bar.finish_and_clear();
        }
    }

    /// Calls `print` while the bar is hidden.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        match &*self.stage() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bar {
    /// Removes the bar after an error, when nobody has called `finish`.
    fn drop(&mut self) {
        self.finish();
    }
}

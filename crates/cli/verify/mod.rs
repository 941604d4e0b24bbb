//! `partwise verify`: checks that a store is undamaged.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use partwise::machine;
use partwise::storage::Store;
use serde::Serialize;

use crate::failure::Failure;
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::size::ByteSize;
use crate::wording::duration;

/// Read every byte of a store and check it against its checksums
///
/// If the store is damaged, the exit code is 65, and the message names the file, the block and its
/// rows.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  partwise verify pbmc3k.pw && echo sound")]
pub(crate) struct Options {
    /// The store (a folder NAME.pw)
    #[arg(value_name = "STORE")]
    store: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Serialize)]
struct Report<'a> {
    store: &'a str,
    sound: bool,
    blocks: usize,
    bytes: u64,
    seconds: f64,
    peak_rss_bytes: u64,
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let began = Instant::now();
    let store = Store::open(&options.store)?;
    store.verify(progress)?;
    let took = began.elapsed();

    let path = options.store.to_string_lossy();
    let (blocks, bytes) = (store.blocks(), store.summary().bytes);
    if options.common.json {
        let (seconds, peak_rss_bytes) = (took.as_secs_f64(), machine::peak_rss());
        return print::json(&Report { store: &path, sound: true, blocks, bytes, seconds, peak_rss_bytes });
    }
    print::text(&format!("{path}: sound, {blocks} blocks and {} read in {}", ByteSize(bytes), duration(took)))
}

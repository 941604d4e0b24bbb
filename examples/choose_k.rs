//! Fit several k and seeds in the same reads of a file, and compare them.
//!
//! ```text
//! cargo run --release --example choose_k -- counts.h5ad results
//! ```

use std::env;

use partwise::driver::Machine;
use partwise::job::{Alone, FitJob};
use partwise::{FitSet, NmfConfig, Quiet, machine};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, results] = &arguments[..] else { return Err("usage: choose_k INPUT FOLDER".into()) };

    let set = FitSet::new(NmfConfig::new(3)).with_ks([3, 4, 5, 6]).with_seeds([0, 1]);
    let mut job = FitJob::new(input, set);
    job.output = Some(results.into());
    let budget = Machine::new(machine::threads(), 512 << 20);
    let done = job.run(&budget, &Alone(&Quiet))?;

    println!("{} cells x {} genes, read {} times for {} fits", done.cells, done.genes, done.passes, done.fits.len());
    for fit in &done.fits {
        println!("k = {}, seed {}: explains {:.2} %", fit.id.k, fit.id.seed, 100.0 * fit.explained);
    }
    Ok(())
}

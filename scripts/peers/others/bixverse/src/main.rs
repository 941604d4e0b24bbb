//! Runs the sparse HALS of bixverse for each limit of iterations that comes over stdin, with TOLERANCE.
//!
//!   bixverse-fit FOLDER CELLS GENES k SEED START TOLERANCE
//!   bixverse-fit --version
//!
//! The folder holds a CSR matrix of cells × genes as raw bytes: p, i and x.
//! START is `nndsvd`, the library's default, which needs no seed, or `random`.
//! The library takes no factors to start from and has no callback, so every answer is a whole fit
//! from the same start. RAYON_NUM_THREADS limits its threads.
//!
//! The clock covers the start and the iterations. It leaves out the two copies of the matrix, by
//! row and by column, that the library makes before a fit and that all fits here share.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use bixverse_rs::methods::nmf_hals::sparse::SparseInput;
use bixverse_rs::methods::nmf_hals::{HalsOpts, nmf_hals, parse_nmf_init};
use bixverse_rs::prelude::{CompressedSparseData2, CompressedSparseFormat};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("bixverse-rs {}", bixverse_rs::VERSION);
        return Ok(());
    }
    let [folder, cells, genes, k, seed, start, tolerance] =
        words.try_into().map_err(|_| "seven arguments, or --version")?;
    let folder = Path::new(&folder);
    let (cells, genes, k): (usize, usize, usize) = (cells.parse()?, genes.parse()?, k.parse()?);
    let mut options = HalsOpts {
        tol: tolerance.parse::<f32>()?,
        init: parse_nmf_init(&start, seed.parse()?).ok_or("START is nndsvd or random")?,
        ..HalsOpts::default()
    };
    let x = SparseInput::<f32, f32>::from_primary(&matrix(folder, cells, genes)?)?;
    answer("ready")?;
    for line in io::stdin().lines() {
        options.max_iter = line?.parse()?;
        let began = Instant::now();
        let fit = nmf_hals(&x, k, &options, 0)?;
        let seconds = began.elapsed().as_secs_f64();
        // In f64, as R writes them: W and H by rows.
        let usages = (0..cells).flat_map(|cell| (0..k).map(move |part| (cell, part)));
        let spectra = (0..k).flat_map(|part| (0..genes).map(move |gene| (part, gene)));
        write(&folder.join("usages"), usages.map(|at| fit.w[at]))?;
        write(&folder.join("spectra"), spectra.map(|at| fit.h[at]))?;
        answer(&format!("{seconds:.6} {} {}", peak()?, fit.n_iter))?;
    }
    Ok(())
}

fn answer(text: &str) -> io::Result<()> {
    println!("{text}");
    io::stdout().flush()
}

fn matrix(folder: &Path, cells: usize, genes: usize) -> io::Result<CompressedSparseData2<f32>> {
    Ok(CompressedSparseData2::from_parts(
        read(&folder.join("x"), f32::from_ne_bytes)?,
        read(&folder.join("i"), u32::from_ne_bytes)?,
        read(&folder.join("p"), u32::from_ne_bytes)?,
        None,
        CompressedSparseFormat::Csr,
        (cells, genes),
    ))
}

fn read<T>(path: &Path, value: fn([u8; 4]) -> T) -> io::Result<Vec<T>> {
    let bytes = fs::read(path)?;
    let (words, _) = bytes.as_chunks();
    Ok(words.iter().map(|&word| value(word)).collect())
}

fn write(path: &Path, values: impl Iterator<Item = f32>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for value in values {
        file.write_all(&f64::from(value).to_ne_bytes())?;
    }
    file.flush()
}

/// Peak resident kilobytes of this process.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("/proc/self/status has no VmHWM")?.parse()?)
}

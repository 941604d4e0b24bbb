//! Factorize a sparse matrix in memory, and print the strongest genes of every program.
//!
//! ```text
//! cargo run --release --example in_memory
//! ```

use partwise::{Matrix, NmfConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 300 cells × 12 genes as compressed rows: cells take turns in three programs of four genes each.
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for cell in 0..300u32 {
        for gene in (cell % 3 * 4)..(cell % 3 * 4 + 4) {
            indices.push(gene);
            values.push(((1 + gene % 4) * (1 + cell / 3 % 5)) as f32);
        }
        indptr.push(indices.len());
    }
    let x = Matrix::from_csr(12, &indptr, &indices, &values)?;
    let fit = partwise::fit(&x, &NmfConfig::new(3))?;
    println!("W is {} x {}, relative error {:.6}", fit.cells(), fit.k(), fit.relative_error);
    for program in 0..fit.k() {
        let mut genes: Vec<(usize, f32)> = fit.spectra().component(program).enumerate().collect();
        genes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let names: Vec<String> = genes.iter().take(3).map(|(gene, _)| format!("gene{gene}")).collect();
        println!("program {program}: {}", names.join(", "));
    }
    Ok(())
}

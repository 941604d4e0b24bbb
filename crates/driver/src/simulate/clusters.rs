//! Clusters: every cell belongs to one program and is that program plus Gaussian noise as large as
//! the program itself.
//!
//! With program c of μ (m × p, uniform in 0 to 1) and the cell's cluster c chosen uniformly,
//!
//! ```text
//! x_j = max(0, μ_jc + N(0, μ_jc²)) = μ_jc · max(0, 1 + N(0, 1)),
//! ```
//!
//! about 16 % zeros, stored dense. Principal components separate such clusters cleanly, and so
//! should the usages.

use partwise_storage::source::RowChunk;
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::planted::{Planted, Truth};
use super::stream::{Purpose, stream};

/// Values of a tile: 1 MiB of f32, whatever the number of genes.
const TILE_VALUES: usize = 1 << 18;

/// The generator; the module's page describes it.
#[derive(Debug)]
pub(super) struct Clusters {
    genes: usize,
    programs: usize,
    seed: u64,
    /// μ, m × p row-major.
    profiles: Vec<f32>,
}

impl Clusters {
    /// Draws the programs.
    pub(super) fn new(genes: usize, programs: usize, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Programs);
        let profiles = (0..genes * programs).map(|_| rng.random::<f32>()).collect();
        Clusters { genes, programs, seed, profiles }
    }
}

fn tile_rows(genes: usize) -> usize {
    (TILE_VALUES / genes).clamp(1, 256)
}

/// About how many bytes the rows of a tile take, for keeping to the memory budget.
pub(super) fn tile_bytes(genes: usize) -> u64 {
    4 * (tile_rows(genes) * genes) as u64
}

impl Planted for Clusters {
    fn genes(&self) -> usize {
        self.genes
    }

    fn tile_rows(&self) -> usize {
        tile_rows(self.genes)
    }

    fn profiles(&self) -> &[f32] {
        &self.profiles
    }

    fn truth(&self, tile: usize, rows: usize) -> Truth {
        let mut rng = stream(self.seed, Purpose::Truth(tile));
        let clusters = (0..rows).map(|_| rng.random_range(0..self.programs as u32)).collect();
        Truth { clusters, library_sizes: Vec::new() }
    }

    fn rows(&self, tile: usize, rows: usize) -> RowChunk {
        let truth = self.truth(tile, rows);
        let mut rng = stream(self.seed, Purpose::Noise(tile));
        let mut values = Vec::with_capacity(rows * self.genes);
        for cluster in truth.clusters {
            let profile = self.profiles.iter().skip(cluster as usize).step_by(self.programs);
            values.extend(profile.map(|mean| {
                let noise: f32 = StandardNormal.sample(&mut rng);
                mean * (1.0 + noise).max(0.0)
            }));
        }
        RowChunk::Dense { values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_their_program_plus_noise_of_its_size_cut_at_zero() {
        let (genes, programs, rows) = (200, 3, 256);
        let clusters = Clusters::new(genes, programs, 5);
        let RowChunk::Dense { values } = clusters.rows(0, rows) else { panic!("clusters are dense") };
        let truth = clusters.truth(0, rows);
        // E max(0, 1 + z) = Φ(1) + φ(1) = 1.0833, P(1 + z < 0) = 0.1587.
        let (mut ratio, mut zeros) = (0.0, 0);
        for (row, &cluster) in values.chunks(genes).zip(&truth.clusters) {
            for (gene, &value) in row.iter().enumerate() {
                assert!(value >= 0.0);
                let mean = clusters.profiles[gene * programs + cluster as usize];
                ratio += f64::from(value / mean) / values.len() as f64;
                zeros += usize::from(value == 0.0);
            }
        }
        assert!((ratio - 1.0833).abs() < 0.02, "mean ratio {ratio}");
        assert!((zeros as f64 / values.len() as f64 - 0.1587).abs() < 0.01, "{zeros} zeros");
        assert!((0..programs as u32).all(|c| truth.clusters.contains(&c)));
    }
}

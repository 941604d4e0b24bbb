//! XᵀX of rows, as the upper triangle of a large matrix, in f64.
//!
//! The plain algorithm adds `x xᵀ` for each row `x` in turn ([`naive::xtx`](crate::naive::xtx)). The
//! product of two f32 is exact in f64, so each element of the triangle is a sum of exact products in
//! the order of the rows. Both ways to take it keep that order, and a term of zero changes nothing, so
//! they have the same bits:
//!
//! - **By entries**: gene after gene, every entry of the gene multiplies the entries of its row from
//!   there on. The row of the triangle that they are added to stays in the cache. A row of s entries
//!   costs s²/2 additions to scattered places.
//! - **By rows**: a few rows are unpacked and widened, and a block of 4 × 8 elements stays in registers
//!   over them, as in [`gram`](crate::gram). A row costs m²/2 multiplications and additions, eight or
//!   more at a time, which is less for rows that are a quarter full.

use crate::Isa;

/// Genes of a group: their rows of the triangle begin at the same column.
const GROUP: usize = 8;
/// Rows that are unpacked at a time: those of 2,000 genes take half a megabyte.
const ROWS: usize = 32;
/// Elements of a register block: `HIGH` genes, with `GROUP` others.
const HIGH: usize = 4;
/// One value in this many has to be an entry for the way by rows.
const FILLED: usize = 4;

/// The upper triangle of a symmetric m × m matrix. Rows of eight genes begin at the first of the eight,
/// so that they have the same length, a multiple of eight: a few elements below the diagonal are there,
/// and mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triangle {
    genes: usize,
}

impl Triangle {
    /// That of `genes` genes.
    pub fn new(genes: usize) -> Self {
        Triangle { genes }
    }

    /// Genes m.
    pub fn genes(self) -> usize {
        self.genes
    }

    /// Values that it holds, a multiple of 64.
    pub fn values(self) -> usize {
        let groups = self.genes.div_ceil(GROUP);
        GROUP * GROUP * groups * (groups + 1) / 2
    }

    /// Where the row of a gene lies: the place of its first value, the column of that, and its length.
    /// The element (j, k) with k ≥ j is at the place of row j, plus k, minus that column.
    pub fn row(self, gene: usize) -> (usize, usize, usize) {
        let (groups, group) = (self.genes.div_ceil(GROUP), gene / GROUP);
        let before = GROUP * GROUP * (group * groups - group * group.saturating_sub(1) / 2);
        let width = GROUP * (groups - group);
        (before + gene % GROUP * width, GROUP * group, width)
    }
}

/// Entries of consecutive rows, collected for [`add`]. Kept from call to call.
#[derive(Debug, Default)]
pub struct Entries {
    rows: usize,
    /// As they came: row, gene and value.
    taken: Vec<(u16, u32, f32)>,
    /// Where the entries of each row begin in `of_rows`; one more than there are rows.
    row_starts: Vec<u32>,
    /// By row: gene and value.
    of_rows: Vec<(u32, f32)>,
    /// Where the entries of each gene begin in `of_genes`; one more than there are genes.
    gene_starts: Vec<u32>,
    /// By gene: row and value.
    of_genes: Vec<(u16, f32)>,
    /// The next place of each row or gene.
    next: Vec<u32>,
    /// Rows in hand, unpacked.
    wide: Vec<f64>,
}

impl Entries {
    /// None, with no memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes for so many entries of rows and genes at a time.
    pub fn bytes(entries: usize, rows: usize, genes: usize) -> u64 {
        (28 * entries + 8 * rows.max(genes) + 4 * (rows + genes) + 8 * ROWS * genes.next_multiple_of(GROUP)) as u64
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Rows that they are of.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Drops all entries and rows.
    pub fn clear(&mut self) {
        self.taken.clear();
        self.rows = 0;
    }

    /// Makes room for `entries` of `rows` rows more.
    ///
    /// # Panics
    ///
    /// When there are more than 65,536 rows.
    #[track_caller]
    pub fn extend(&mut self, rows: usize, entries: usize) {
        self.rows += rows;
        assert!(self.rows <= 1 << 16, "at most 65,536 rows at a time, not {}", self.rows);
        // Exactly: the spare room of a growing Vec is not in the plan.
        self.taken.reserve_exact(entries);
    }

    /// Takes an entry. The genes of a row come in ascending order.
    #[inline]
    pub fn push(&mut self, row: usize, gene: u32, value: f32) {
        self.taken.push((row as u16, gene, value));
    }

    /// Puts the entries in the order of their rows, and of their genes.
    fn sort(&mut self, genes: usize) {
        let Entries { rows, taken, row_starts, of_rows, gene_starts, of_genes, next, .. } = self;
        resize(of_rows, taken.len());
        begin(row_starts, next, *rows, taken.iter().map(|entry| usize::from(entry.0)));
        for &(row, gene, value) in &*taken {
            of_rows[step(&mut next[usize::from(row)])] = (gene, value);
        }
        resize(of_genes, taken.len());
        begin(gene_starts, next, genes, taken.iter().map(|entry| entry.1 as usize));
        for row in 0..*rows {
            for &(gene, value) in &of_rows[row_starts[row] as usize..row_starts[row + 1] as usize] {
                of_genes[step(&mut next[gene as usize])] = (row as u16, value);
            }
        }
    }
}

fn resize<T: Clone + Default>(list: &mut Vec<T>, len: usize) {
    list.reserve_exact(len.saturating_sub(list.len()));
    list.resize(len, T::default());
}

/// Where the members of each of `lists` lists begin, one list after the other.
fn begin(starts: &mut Vec<u32>, next: &mut Vec<u32>, lists: usize, of: impl Iterator<Item = usize>) {
    starts.clear();
    starts.resize(lists + 1, 0);
    of.for_each(|list| starts[list + 1] += 1);
    for list in 0..lists {
        starts[list + 1] += starts[list];
    }
    next.clear();
    next.extend_from_slice(&starts[..lists]);
}

fn step(next: &mut u32) -> usize {
    *next += 1;
    *next as usize - 1
}

/// `share += XᵀX` for the rows that `entries` are of.
///
/// | argument  | shape        | holds                               |
/// |-----------|--------------|-------------------------------------|
/// | `share`   | a triangle   | added to                            |
/// | `entries` | b × m        | the rows; none afterwards           |
///
/// Costs for each row s² flops if it has s entries, or m² if that is faster. Allocates only where there
/// are more entries than before.
///
/// # Panics
///
/// When the share has another shape, or an entry lies outside of the rows and genes.
#[track_caller]
pub fn add(share: &mut [f64], triangle: Triangle, entries: &mut Entries) {
    add_with(Isa::best(), share, triangle, entries);
}

/// [`add`] with the given instructions. The bits are the same; tests use it.
///
/// # Panics
///
/// As for [`add`], or when this machine does not have the instructions.
#[track_caller]
pub fn add_with(isa: Isa, share: &mut [f64], triangle: Triangle, entries: &mut Entries) {
    isa.assert_available();
    assert_eq!(share.len(), triangle.values(), "the share is the triangle of {} genes", triangle.genes);
    entries.sort(triangle.genes);
    match isa {
        _ if entries.len() * FILLED < entries.rows * triangle.genes => by_entries(share, triangle, entries),
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { by_rows_avx512(share, triangle, entries) },
        // SAFETY: the assertion above has found the instructions.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { by_rows_avx2(share, triangle, entries) },
        _ => by_rows(share, triangle, entries),
    }
    entries.clear();
}

fn by_entries(share: &mut [f64], triangle: Triangle, entries: &mut Entries) {
    let Entries { rows, row_starts, of_rows, gene_starts, of_genes, next, .. } = entries;
    next.clear();
    next.extend_from_slice(&row_starts[..*rows]);
    for (gene, ends) in gene_starts.windows(2).enumerate() {
        let (place, first, width) = triangle.row(gene);
        let sums = &mut share[place..place + width];
        for &(row, value) in &of_genes[ends[0] as usize..ends[1] as usize] {
            let (from, to) = (step(&mut next[usize::from(row)]), row_starts[usize::from(row) + 1]);
            let value = f64::from(value);
            for &(other, factor) in &of_rows[from..to as usize] {
                sums[other as usize - first] += value * f64::from(factor);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn by_rows_avx512(share: &mut [f64], triangle: Triangle, entries: &mut Entries) {
    by_rows(share, triangle, entries);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn by_rows_avx2(share: &mut [f64], triangle: Triangle, entries: &mut Entries) {
    by_rows(share, triangle, entries);
}

#[inline(always)]
fn by_rows(share: &mut [f64], triangle: Triangle, entries: &mut Entries) {
    let Entries { rows, row_starts, of_rows, wide, .. } = entries;
    let width = triangle.genes.next_multiple_of(GROUP);
    for first in (0..*rows).step_by(ROWS) {
        let some = ROWS.min(*rows - first);
        wide.clear();
        wide.resize(some * width, 0.0);
        for (to, ends) in wide.chunks_exact_mut(width).zip(row_starts[first..].windows(2)) {
            for &(gene, value) in &of_rows[ends[0] as usize..ends[1] as usize] {
                to[gene as usize] = f64::from(value);
            }
        }
        for top in (0..width).step_by(HIGH) {
            let (place, first, length) = triangle.row(top);
            let sums = &mut share[place..place + HIGH * length];
            for left in (first..width).step_by(GROUP) {
                block(sums, length, left - first, wide, width, top, left);
            }
        }
    }
}

/// The elements of the genes `top..` with the genes `left..`.
#[inline(always)]
fn block(sums: &mut [f64], length: usize, at: usize, wide: &[f64], width: usize, top: usize, left: usize) {
    let mut held = [[0.0f64; GROUP]; HIGH];
    for (i, held) in held.iter_mut().enumerate() {
        held.copy_from_slice(&sums[i * length + at..][..GROUP]);
    }
    for row in wide.chunks_exact(width) {
        let right: &[f64; GROUP] = row[left..left + GROUP].try_into().expect("a group of genes");
        let above: &[f64; HIGH] = row[top..top + HIGH].try_into().expect("genes of a register block");
        for i in 0..HIGH {
            for j in 0..GROUP {
                held[i][j] += above[i] * right[j];
            }
        }
    }
    for (i, held) in held.iter().enumerate() {
        sums[i * length + at..][..GROUP].copy_from_slice(held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_triangle_lie_one_after_the_other() {
        for genes in [1, 7, 8, 9, 16, 35] {
            let triangle = Triangle::new(genes);
            let mut expected = 0;
            for gene in 0..genes.next_multiple_of(8) {
                let (place, first, width) = triangle.row(gene);
                assert_eq!((place, first), (expected, gene / 8 * 8), "gene {gene} of {genes}");
                assert_eq!(first + width, genes.next_multiple_of(8));
                expected += width;
            }
            assert_eq!(triangle.values(), expected);
            assert_eq!(triangle.values() % 64, 0);
        }
    }

    #[test]
    #[should_panic(expected = "the share is the triangle of 9 genes")]
    fn a_share_of_another_shape_is_refused() {
        add(&mut [0.0; 64], Triangle::new(9), &mut Entries::new());
    }
}

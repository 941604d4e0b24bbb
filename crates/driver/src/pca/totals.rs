//! The median of the sums of the cells, in memory that does not grow with their number.
//!
//! The bits of positive numbers are in the order of the numbers. So four readings of the table of cells,
//! each of which counts sixteen bits more, find any of them in order.

use crate::blocks::FitData;
use crate::error::DriverError;

/// Cells read at once.
const AT_ONCE: usize = 1 << 14;
/// Bits that one reading counts.
const BITS: u32 = 16;

/// The median of the sums of the cells that are kept and not empty; with an even number of them, the
/// mean of the two in the middle.
pub(super) fn median(data: &dyn FitData) -> Result<f64, DriverError> {
    let mut cells = 0u64;
    visit(data, &mut |_| cells += 1)?;
    if cells == 0 {
        return Ok(0.0);
    }
    let upper = in_order(data, cells / 2)?;
    if cells % 2 == 1 {
        return Ok(upper);
    }
    Ok(in_order(data, cells / 2 - 1)?.midpoint(upper))
}

/// The sum at this place, from 0, of all of them in order.
fn in_order(data: &dyn FitData, mut place: u64) -> Result<f64, DriverError> {
    let (mut found, mut counts) = (0u64, vec![0u64; 1 << BITS]);
    for shift in (0..u64::BITS).step_by(BITS as usize).rev() {
        counts.fill(0);
        visit(data, &mut |sum| {
            let bits = sum.to_bits();
            if bits.checked_shr(shift + BITS).unwrap_or(0) == found.checked_shr(shift + BITS).unwrap_or(0) {
                counts[(bits >> shift) as usize & ((1 << BITS) - 1)] += 1;
            }
        })?;
        for (part, &count) in counts.iter().enumerate() {
            if place < count {
                found |= (part as u64) << shift;
                break;
            }
            place -= count;
        }
    }
    Ok(f64::from_bits(found))
}

/// Shows the sums above zero.
fn visit(data: &dyn FitData, see: &mut dyn FnMut(f64)) -> Result<(), DriverError> {
    let cells = data.blocks().cells();
    for first in (0..cells).step_by(AT_ONCE) {
        let some = data.cell_moments(first..(first + AT_ONCE).min(cells))?;
        some.iter().map(|cell| cell.sum).filter(|&sum| sum > 0.0).for_each(&mut *see);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Matrix;

    #[test]
    fn the_median_is_that_of_the_sorted_sums() {
        for cells in 1..40 {
            let values: Vec<f32> = (0..2 * cells).map(|at| (at * at * 7919 % 613) as f32 / 8.0).collect();
            let data = Matrix::from_dense(2, &values).unwrap();
            let mut sums: Vec<f64> = values.chunks(2).map(|row| row.iter().map(|&x| f64::from(x)).sum()).collect();
            sums.retain(|&sum| sum > 0.0);
            sums.sort_by(f64::total_cmp);
            let half = sums.len() / 2;
            let expected = match sums.len() {
                0 => 0.0,
                n if n % 2 == 1 => sums[half],
                _ => sums[half].midpoint(sums[half - 1]),
            };
            assert_eq!(median(&data).unwrap(), expected, "{cells} cells");
        }
    }
}

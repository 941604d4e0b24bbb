//! Chooses the best block height.

/// The fraction by which a height may be slower than the fastest, in any setting.
pub(super) const TOLERANCE: f64 = 0.03;

/// A block height in a setting (k and threads).
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) block_rows: usize,
    pub(super) setting: (usize, usize),
    /// The best time of a pass; `None` if the case does not fit into the memory.
    pub(super) seconds: Option<f64>,
}

/// A height, and the fraction by which it is slower than the fastest in its worst setting (0.01 is
/// 1 %).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) block_rows: usize,
    pub(super) excess: f64,
}

/// Chooses the smallest height that is within [`TOLERANCE`] of the fastest in all settings. If
/// there is none, chooses the height with the best worst setting. Small blocks are worth a little
/// time, because they keep more threads busy and take less memory.
///
/// A height drops out if it does not fit into the memory in a setting in which another one does.
/// Settings in which no height fits do not count. `None` if nothing was timed.
pub(super) fn choose(cases: &[Timed]) -> Option<Choice> {
    let fastest = |setting| {
        let times = cases.iter().filter(|case| case.setting == setting).filter_map(|case| case.seconds);
        times.min_by(f64::total_cmp)
    };
    let mut heights: Vec<usize> = cases.iter().map(|case| case.block_rows).collect();
    heights.sort_unstable();
    heights.dedup();
    let worst = |block_rows: usize| {
        let mut excess = None;
        for case in cases.iter().filter(|case| case.block_rows == block_rows) {
            match (case.seconds, fastest(case.setting)) {
                (Some(time), Some(fastest)) => excess = Some((time / fastest - 1.0).max(excess.unwrap_or(0.0))),
                (None, Some(_)) => return None,
                (_, None) => (),
            }
        }
        excess.map(|excess| Choice { block_rows, excess })
    };
    let choices: Vec<Choice> = heights.into_iter().filter_map(worst).collect();
    let within = choices.iter().find(|choice| choice.excess <= TOLERANCE);
    within.or_else(|| choices.iter().min_by(|a, b| a.excess.total_cmp(&b.excess))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are the heights 256, 512 and 1024, columns are settings; 0 means that the case does not
    /// fit.
    fn chosen(times: [&[f64]; 3]) -> Option<(usize, i64)> {
        let mut cases = Vec::new();
        for (row, times) in times.into_iter().enumerate() {
            for (column, &time) in times.iter().enumerate() {
                let seconds = (time > 0.0).then_some(time);
                cases.push(Timed { block_rows: 256 << row, setting: (20, column), seconds });
            }
        }
        choose(&cases).map(|choice| (choice.block_rows, (choice.excess * 1000.0).round() as i64))
    }

    #[test]
    fn the_smallest_that_is_fast_enough_everywhere() {
        for (why, times, expected) in [
            ("the fastest is the smallest", [&[1.0][..], &[1.1], &[1.2]], Some((256, 0))),
            ("within three per cent", [&[1.1], &[1.02], &[1.0]], Some((512, 20))),
            ("only the tallest", [&[1.2], &[1.1], &[1.0]], Some((1024, 0))),
            ("in both settings", [&[1.0, 2.2], &[1.01, 2.04], &[1.02, 2.0]], Some((512, 20))),
            ("nowhere in both", [&[1.0, 2.4], &[1.05, 2.1], &[1.2, 2.0]], Some((512, 50))),
            ("the fast one does not fit", [&[1.2, 1.0], &[1.0, 1.0], &[0.9, 0.0]], Some((512, 111))),
            ("a setting where nothing fits", [&[1.0, 0.0], &[1.2, 0.0], &[1.3, 0.0]], Some((256, 0))),
            ("nothing at all", [&[], &[], &[]], None),
        ] {
            assert_eq!(chosen(times), expected, "{why}");
        }
    }
}

//! A column of `obs`: which group each cell of the sample belongs to, and what the groups use.

use std::collections::HashMap;
use std::path::Path;

use partwise_storage::Axis;
use partwise_storage::anndata::{Label, LabelKind, column_names, visit_labels};

use super::fit::Shares;
use super::{Sample, check_rows};
use crate::error::ReportError;

/// The most groups of a column.
const GROUPS: usize = 10_000;
/// Integers of more different values are numbers rather than names of groups.
const WHOLE: usize = 100;

/// A column of `obs`.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) name: String,
    pub(crate) values: Values,
}

/// The values of the column.
#[derive(Debug)]
pub(crate) enum Values {
    /// Names of groups.
    Groups {
        /// Names, in the order of numbers if they are numbers, otherwise of the alphabet.
        names: Vec<String>,
        /// Cells of each group, of all cells.
        sizes: Vec<u64>,
        /// Cells without a group.
        missing: u64,
        /// The group of each cell of the sample.
        of_sample: Vec<Option<usize>>,
        /// The mean shares of the cells of each group, groups × k; empty for principal components.
        usage: Vec<f64>,
    },
    /// Numbers of the cells of the sample; NaN where there is none.
    Numbers(Vec<f64>),
}

/// A group while it is read.
struct Group {
    name: String,
    size: u64,
    usage: Vec<f64>,
}

impl Labels {
    /// Reads the column, and beside it the shares of all cells, if any.
    pub(crate) fn read(
        path: &Path,
        column: &str,
        sample: &Sample,
        mut shares: Option<&mut Shares<'_>>,
    ) -> Result<Labels, ReportError> {
        let columns = column_names(path, Axis::Cells)?;
        if !columns.iter().any(|name| name == column) {
            return Err(ReportError::NoColumn { path: path.into(), column: column.into(), columns });
        }
        let k = shares.as_ref().map_or(0, |shares| shares.k());
        let (mut groups, mut known) = (Vec::<Group>::new(), HashMap::<String, usize>::new());
        let (mut cell, mut missing, mut failed) = (0, 0, None);
        let (mut codes, mut numbers) = (Vec::new(), Vec::new());
        let mut wanted = sample.rows().iter().peekable();
        let kind = visit_labels(path, Axis::Cells, column, |label| {
            let row = match shares.as_mut().map(|shares| shares.next()) {
                Some(Ok(Some(row))) => row,
                Some(Err(error)) => {
                    failed.get_or_insert(error);
                    &[]
                }
                Some(Ok(None)) | None => &[],
            };
            let written;
            let name = match label {
                Label::Text(text) => Some(text),
                Label::Number(number) if !number.is_nan() => {
                    written = number.to_string();
                    Some(written.as_str())
                }
                _ => None,
            };
            let code = name.and_then(|name| match known.get(name) {
                Some(&code) => Some(code),
                // Beyond the most, groups are of no use, and are not kept.
                None if groups.len() > GROUPS => None,
                None => {
                    known.insert(name.to_owned(), groups.len());
                    groups.push(Group { name: name.to_owned(), size: 0, usage: vec![0.0; k] });
                    Some(groups.len() - 1)
                }
            });
            match code {
                Some(code) => {
                    groups[code].size += 1;
                    groups[code].usage.iter_mut().zip(row).for_each(|(sum, share)| *sum += share);
                }
                None => missing += 1,
            }
            if wanted.next_if_eq(&&cell).is_some() {
                codes.push(code);
                numbers.push(if let Label::Number(number) = label { number } else { f64::NAN });
            }
            cell += 1;
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        check_rows(path, &format!("obs/{column}"), cell, sample.cells())?;
        let values = match kind {
            LabelKind::Floats => Values::Numbers(numbers),
            LabelKind::Integers if groups.len() > WHOLE => Values::Numbers(numbers),
            _ if groups.len() > GROUPS => {
                return Err(ReportError::ManyGroups { path: path.into(), column: column.into(), most: GROUPS });
            }
            kind => in_order(groups, kind, missing, &codes),
        };
        Ok(Labels { name: column.into(), values })
    }
}

/// The groups in the order of their names.
fn in_order(mut groups: Vec<Group>, kind: LabelKind, missing: u64, codes: &[Option<usize>]) -> Values {
    if kind == LabelKind::Booleans {
        for group in &mut groups {
            group.name = if group.name == "0" { "False".into() } else { "True".into() };
        }
    }
    let numbers: Option<Vec<f64>> = groups.iter().map(|group| group.name.parse().ok()).collect();
    let mut order: Vec<usize> = (0..groups.len()).collect();
    match numbers {
        Some(numbers) => order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b])),
        None => order.sort_by(|&a, &b| groups[a].name.cmp(&groups[b].name)),
    }
    let mut places = vec![0; groups.len()];
    order.iter().enumerate().for_each(|(place, &group)| places[group] = place);
    let mean = |group: &Group| {
        let size = group.size as f64;
        group.usage.iter().map(|sum| sum / size).collect::<Vec<f64>>()
    };
    Values::Groups {
        names: order.iter().map(|&group| groups[group].name.clone()).collect(),
        sizes: order.iter().map(|&group| groups[group].size).collect(),
        missing,
        of_sample: codes.iter().map(|code| code.map(|code| places[code])).collect(),
        usage: order.iter().flat_map(|&group| mean(&groups[group])).collect(),
    }
}

//! The page of the folder of a sweep: how stable each k is, and how well it fits.

use std::path::Path;

use super::{Made, name_of};
use crate::error::ReportError;
use crate::page::{Page, Table};
use crate::picture::{explained, passes, percent, stability, thousands};
use crate::read::{OfK, Sweep};

/// The names of its figures.
pub(super) const FIGURES: [&str; 3] = ["stability", "explained", "passes"];

/// A smaller lead in stability comes and goes with the seed: cNMF's own stability differs by up to so much between
/// master seeds.
pub const CLEAR_LEAD: f64 = 0.075;

/// The page of the sweep at `path`.
pub(super) fn page(path: &Path) -> Result<Made, ReportError> {
    let sweep = Sweep::read(path)?;
    let ks = &sweep.ks;
    let figures = vec![stability::figure(ks), explained::figure(ks), passes::figure(ks)];
    let head = ["k", "replicates", "stability", "relative error", "explained", "mean passes"].map(str::to_owned).into();
    let row = |of_k: &OfK| {
        vec![
            of_k.k.to_string(),
            of_k.replicates.to_string(),
            format!("{:.4}", of_k.stability),
            format!("{:.5}", of_k.relative_error),
            percent(of_k.explained),
            format!("{:.1}", of_k.passes),
        ]
    };
    let table = Some(Table { title: "Every k".into(), head, rows: ks.iter().map(row).collect() });
    let lead = words(&sweep);
    Ok((
        Page { title: name_of(path), kind: "a sweep".into(), lead, settings: sweep.settings, figures, table },
        Vec::new(),
    ))
}

/// What was run, in sentences, and which k is the most stable.
fn words(sweep: &Sweep) -> Vec<String> {
    let ks = &sweep.ks;
    let counts = || ks.iter().map(|of_k| of_k.replicates);
    let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
    let replicates =
        if least == most { thousands(least) } else { format!("{} to {}", thousands(least), thousands(most)) };
    let mut words = vec![
        format!(
            "{replicates} replicates of {}: {} factorizations X ≈ W·H, each from a start of its own.",
            list(&ks.iter().map(|of_k| of_k.k).collect::<Vec<_>>()),
            thousands(counts().sum()),
        ),
        format!("They see {} selected genes, divided by their standard deviation.", thousands(sweep.genes)),
    ];
    if let (Some(most), Some(tol), Some(seed)) =
        (sweep.setting("max_passes"), sweep.setting("tol"), sweep.setting("seed"))
    {
        let meet = match sweep.setting("meet") {
            Some("true") => "; replicates that come to the same programs go on as one",
            _ => "",
        };
        words.push(format!("At most {most} passes, tolerance {tol}, seed {seed}{meet}; partwise {}.", sweep.version));
    }
    words.extend(most_stable(ks));
    if ks.iter().any(|of_k| of_k.each.len() < of_k.replicates) {
        words.push(
            "Files of replicates are missing, so pictures show fewer replicates than the table counts; the same sweep, \
             run again, makes them."
                .into(),
        );
    }
    words
}

/// Numbers in words: `k = 5 to 9` or `k = 5, 7, 9`.
fn list(ks: &[usize]) -> String {
    match ks {
        [first, .., last] if ks.len() > 2 && last - first + 1 == ks.len() => format!("each k from {first} to {last}"),
        _ => format!("k = {}", ks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The sentence on the most stable k; `None` if there are not two to compare.
fn most_stable(ks: &[OfK]) -> Option<String> {
    let mut sorted: Vec<&OfK> = ks.iter().filter(|of_k| of_k.stability.is_finite()).collect();
    sorted.sort_by(|a, b| b.stability.total_cmp(&a.stability));
    let [first, second, ..] = sorted[..] else { return None };
    let lead = first.stability - second.stability;
    let how = match lead >= CLEAR_LEAD {
        true => format!("clearly: the next, k = {}, is {lead:.3} below", second.k),
        false => format!(
            "but not clearly: k = {} is only {lead:.3} below, as much as another seed may change; look at both",
            second.k
        ),
    };
    Some(format!("k = {} is the most stable ({:.3}), {how}.", first.k, first.stability))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ks(stabilities: &[f64]) -> Vec<OfK> {
        let of_k = |(at, &stability): (usize, &f64)| OfK { k: at + 4, stability, ..OfK::default() };
        stabilities.iter().enumerate().map(of_k).collect()
    }

    #[test]
    fn the_most_stable_k_is_named_with_how_clear_its_lead_is() {
        let said = |stabilities: &[f64]| most_stable(&ks(stabilities)).unwrap_or_default();
        assert_eq!(
            said(&[0.5, 0.9, 0.8]),
            "k = 5 is the most stable (0.900), clearly: the next, k = 6, is 0.100 below."
        );
        let unclear = "k = 4 is the most stable (0.900), but not clearly: k = 6 is only 0.070 below";
        assert!(said(&[0.9, 0.8, 0.83]).starts_with(unclear), "{}", said(&[0.9, 0.8, 0.83]));
        assert_eq!(said(&[0.9]), "");
        assert_eq!(said(&[f64::NAN, 0.9]), "");
    }

    #[test]
    fn a_range_of_k_is_said_in_short() {
        assert_eq!(list(&[5, 6, 7]), "each k from 5 to 7");
        assert_eq!(list(&[5, 6]), "k = 5, 6");
        assert_eq!(list(&[5, 7, 9]), "k = 5, 7, 9");
        assert_eq!(list(&[5]), "k = 5");
    }
}

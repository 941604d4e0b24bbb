//! The page of a folder of results of `fit`: several k, several seeds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partwise_storage::StorageError;

use super::{Made, name_of};
use crate::Note;
use crate::error::ReportError;
use crate::page::{Page, Table};
use crate::picture::agreement::{Agreement, of_seeds};
use crate::picture::by_k::Point;
use crate::picture::{agreement, by_k, percent, thousands};
use crate::read::{Story, spectra};

/// The names of its figures; a result may lack some.
pub(super) const FIGURES: [&str; 2] = ["by_k", "agreement"];

/// The most seeds of a k that are compared, and the most numbers in the spectra of all of them.
const SEEDS: usize = 10;
const NUMBERS: usize = 64 << 20;

/// A result of the folder.
struct Member {
    path: PathBuf,
    story: Story,
    point: Point,
}

/// The page of the folder at `path`.
pub(super) fn page(path: &Path) -> Result<Made, ReportError> {
    let mut members = members(path)?;
    if members.is_empty() {
        return Err(ReportError::NoResult { path: path.into(), found: "is a folder without results of fit".into() });
    }
    members.sort_by(|a, b| (a.point.k, seed(a), &a.point.file).cmp(&(b.point.k, seed(b), &b.point.file)));
    let points: Vec<Point> = members.iter().map(|member| member.point.clone()).collect();
    let mut figures = vec![by_k::figure(&points)];
    figures.extend(agreement::figure(&agreements(&members)?));

    let mut lead = vec![format!("{} non-negative matrix factorizations X ≈ W·H.", thousands(points.len()))];
    let mut data: Vec<&str> = members.iter().filter_map(|member| member.story.text("data_fingerprint")).collect();
    data.sort_unstable();
    data.dedup();
    if data.len() > 1 {
        lead.push(format!("They are of {} different sets of data, so their errors do not compare.", data.len()));
    }
    let version = members[0].story.text("version").unwrap_or("?");
    lead.push(format!("Files of this folder have a page each, made in the same way; partwise {version}."));
    let head = ["result", "k", "seed", "relative error", "explained", "reads", "ended"].map(str::to_owned).into();
    let rows = members
        .iter()
        .map(|Member { story, point, .. }| {
            let passes = story.number("passes").map_or_else(|| "?".into(), |passes| passes.to_string());
            let stop = story.text("stop").unwrap_or("?").to_owned();
            let (error, explained) = (format!("{:.5}", point.error), percent(point.explained));
            vec![point.file.clone(), point.k.to_string(), point.seed.clone(), error, explained, passes, stop]
        })
        .collect();
    let table = Some(Table { title: "Fits".into(), head, rows });
    let page = Page { title: name_of(path), kind: "several fits".into(), lead, settings: Vec::new(), figures, table };
    Ok((page, Vec::<Note>::new()))
}

fn seed(member: &Member) -> u64 {
    member.point.seed.parse().unwrap_or(u64::MAX)
}

/// The results of fit in the folder; other files are passed over.
fn members(path: &Path) -> Result<Vec<Member>, ReportError> {
    let failed = |error| StorageError::io("read", path, error);
    let mut members = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden || !file.is_file() || file.extension().is_none_or(|ending| ending != "h5ad") {
            continue;
        }
        let Some(story) = Story::read(&file, "nmf")? else { continue };
        let (Some(k), Some(error)) = (story.number("k"), story.number("relative_error")) else { continue };
        let point = Point {
            file: name_of(&file),
            k: k as usize,
            seed: story.text("seed").unwrap_or("?").to_owned(),
            error,
            explained: story.number("explained").unwrap_or(1.0 - error * error),
        };
        members.push(Member { path: file, story, point });
    }
    Ok(members)
}

/// How well the seeds of each k agree, for fits of the same data.
fn agreements(members: &[Member]) -> Result<Vec<Agreement>, ReportError> {
    let mut alike: BTreeMap<(usize, Option<&str>), Vec<&Member>> = BTreeMap::new();
    for member in members {
        alike.entry((member.point.k, member.story.text("data_fingerprint"))).or_default().push(member);
    }
    let mut agreements = Vec::new();
    for ((k, _), mut seeds) in alike {
        seeds.truncate(SEEDS);
        if seeds.len() < 2 || k == 0 {
            continue;
        }
        let (mut tables, mut numbers) = (Vec::new(), 0);
        for seed in &seeds {
            let (table, width) = spectra(&seed.path)?;
            numbers += table.len();
            let fits = width == k
                && numbers <= NUMBERS
                && tables.first().is_none_or(|first: &Vec<f32>| first.len() == table.len());
            if !fits {
                break;
            }
            tables.push(table);
        }
        if tables.len() >= 2 {
            agreements.push(of_seeds(&tables, k));
        }
    }
    Ok(agreements)
}

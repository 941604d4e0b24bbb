//! `partwise report`: the pictures of a result as one page, and as files. All of them are the library's.

use std::path::{Path, PathBuf};

use clap::Args;
use partwise::job::{Output, OutputKind, Paths, Role};
use partwise::storage::Overwrite;
use partwise_report::{BEGINS, EmbeddingSpec, FigureFormat, Note, Report, ReportSpec, figures, report};
use serde::Serialize;

use crate::failure::{Failure, overwrite};
use crate::options::Common;
use crate::print;
use crate::progress::Progress;
use crate::size::ByteSize;

/// Show a result as one page of pictures, which needs no network
///
/// Of a result of fit: the genes of each program, the cells coloured by what they use, heat maps of usages and
/// overlap, each gene in every program, and the error by pass. Of a consensus, also the local densities of the
/// spectra with the threshold, and their distances. Of a folder of results: error and explained part
/// against k, and which programs come back in every seed. Of a result of pca: the cells, the variances and the
/// genes of each component. Of a sweep: stability and error against k, and the most stable k.
///
/// The page is one HTML file for any browser. The camera above each picture saves it as SVG, as it is on the screen.
///
/// --svg and --png write each picture for a paper: a column or a page wide (85 to 180 mm), with type of 7 and 8
/// points, on white. A picture with views has a panel for each; cells have one for each label and program.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    partwise report pbmc3k.nmf.h5ad                         the page is pbmc3k.nmf.report.html\n  \
    partwise report pbmc3k.nmf.h5ad --label cell_type --embedding pbmc3k.h5ad -o pbmc3k.html\n  \
    partwise report pbmc3k.nmf.h5ad --embedding pbmc3k.h5ad:X_tsne\n  \
    partwise report pbmc3k.pca.h5ad --label cell_type\n  \
    partwise report pbmc3k.nmf.h5ad --label cell_type --svg figures --png figures\n  \
    partwise report pbmc3k.nmf/                             a folder of fits of several k\n  \
    partwise report pbmc3k.sweep --svg figures              stability and error of every k of a sweep")]
pub(crate) struct Options {
    /// A result of fit, consensus or pca, a folder of results of fit, or the folder of a sweep
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    /// The page [default: RESULT with the ending .report.html]
    #[arg(short, long, value_name = "FILE.html", help_heading = "Files")]
    output: Option<PathBuf>,
    /// Also write each picture as SVG into the folder DIR, for a paper
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    svg: Option<PathBuf>,
    /// Also write each picture as PNG into the folder DIR, 300 pixels to the inch
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    png: Option<PathBuf>,
    /// A column of obs to colour and group cells by; may be repeated
    #[arg(long = "label", value_name = "COLUMN", help_heading = "Pictures")]
    labels: Vec<String>,
    /// An AnnData file with the same cells, and the table of its obsm that places them [default: the principal
    /// components of the result; KEY: X_umap, else X_tsne, else X_pca]
    #[arg(long, value_name = "FILE[:KEY]", help_heading = "Pictures")]
    embedding: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Summary<'r> {
    report: &'r str,
    bytes: usize,
    pictures: Vec<&'static str>,
    /// The files of single pictures.
    files: &'r [String],
}

pub(crate) fn run(options: &Options, progress: &Progress) -> Result<(), Failure> {
    let common = &options.common;
    let output = options.output.clone().unwrap_or_else(|| default_output(&options.result, options.result.is_dir()));
    let embedding = options.embedding.as_deref().map(embedding);
    let overwrite = overwrite(common.force);
    let mut paths = Paths::default().reading(Role::Input, &options.result);
    if let Some(embedding) = &embedding {
        paths = paths.reading(Role::Input, &embedding.path);
    }
    paths = paths.writing(page(output.clone(), overwrite));
    let folders = options.folders();
    if !folders.is_empty() {
        paths = with_figures(paths, &folders, figures(&options.result)?, overwrite);
    }
    paths.check()?;

    let mut spec = ReportSpec::default().with_labels(options.labels.clone());
    spec.embedding = embedding;
    let made = write(&options.result, &spec, &output, overwrite, progress)?;

    let mut files = Vec::new();
    for (folder, format) in &folders {
        let written = made.write_figures(folder, *format, overwrite)?;
        files.extend(written.iter().map(|file| file.to_string_lossy().into_owned()));
    }
    let unknown = if options.png.is_some() { made.characters_without_glyph() } else { String::new() };
    if !unknown.is_empty() {
        progress.note(&format!(
            "the font of PNG pictures does not have {}; boxes stand for them, and SVG pictures keep the text",
            unknown.escape_debug()
        ));
    }

    let (name, bytes) = (output.to_string_lossy(), made.html().len());
    if common.json {
        return print::json(&Summary { report: &name, bytes, pictures: made.pictures(), files: &files });
    }
    let count = made.pictures().len();
    let pictures = if count == 1 { "1 picture".to_owned() } else { format!("{count} pictures") };
    let mut text = format!("{name}: {pictures}, {}; open it in a browser", ByteSize(bytes as u64));
    for (folder, format) in &folders {
        let kind = format.file("").to_uppercase();
        text.push_str(&format!("\n{}: {pictures}, each a file ({})", folder.display(), kind.trim_matches('.')));
    }
    print::text(&text)
}

impl Options {
    /// The folders of single pictures.
    fn folders(&self) -> Vec<(&Path, FigureFormat)> {
        let typed = [(&self.svg, FigureFormat::Svg), (&self.png, FigureFormat::Png)];
        typed.into_iter().filter_map(|(folder, format)| Some((folder.as_deref()?, format))).collect()
    }
}

/// The paths with the files of the figures called `names`, in their folders.
fn with_figures(mut paths: Paths, folders: &[(&Path, FigureFormat)], names: &[&str], overwrite: Overwrite) -> Paths {
    let absolute = |folder: &Path| std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    for (at, (folder, format)) in folders.iter().enumerate() {
        if !folders[..at].iter().any(|(other, _)| absolute(other) == absolute(folder)) {
            let (role, path, kind) = (Role::Results, folder.to_path_buf(), OutputKind::Folder);
            paths = paths.writing(Output { role, path, kind, overwrite });
        }
        for name in names {
            let kind = match format {
                FigureFormat::Png => OutputKind::Png,
                _ => OutputKind::Text { what: "an SVG picture", begins: &["<svg", "<?xml"] },
            };
            paths = paths.writing(Output { role: Role::Plot, path: folder.join(format.file(name)), kind, overwrite });
        }
    }
    paths
}

/// The page of a result, as an output among others.
pub(crate) fn page(path: PathBuf, overwrite: Overwrite) -> Output {
    let kind = OutputKind::Text { what: "a report", begins: &[BEGINS] };
    Output { role: Role::Output, path, kind, overwrite }
}

/// Makes the page of `result`, and writes it to `output`.
pub(crate) fn write(
    result: &Path,
    spec: &ReportSpec,
    output: &Path,
    overwrite: Overwrite,
    progress: &Progress,
) -> Result<Report, Failure> {
    let made = report(result, spec)?;
    for note in made.notes() {
        told(note).into_iter().for_each(|told| progress.note(&told));
    }
    made.write(output, overwrite)?;
    Ok(made)
}

/// The line of a note; `None` if it has none.
fn told(note: &Note) -> Option<String> {
    match note {
        Note::LostCells { path, lost, of, example } => Some(format!(
            "{}: {lost} of the {of} cells shown are not in this file, such as {example}; they are left out of the picture",
            path.display()
        )),
        _ => None,
    }
}

/// The page beside the result, named after it.
pub(crate) fn default_output(result: &Path, is_folder: bool) -> PathBuf {
    // The folder may be `.` or `a/..`.
    let named = if result.file_name().is_some() { result.to_path_buf() } else { result.join("results") };
    let stem = if is_folder { named.file_name() } else { named.file_stem() };
    let mut name = stem.unwrap_or_default().to_owned();
    name.push(".report.html");
    named.with_file_name(name)
}

/// The file and the key of an embedding. A file may have a colon in its name.
fn embedding(typed: &Path) -> EmbeddingSpec {
    let text = typed.to_string_lossy();
    match text.rsplit_once(':') {
        Some((file, key)) if !typed.exists() && !file.is_empty() && !key.is_empty() && !key.contains('/') => {
            EmbeddingSpec::new(file, Some(key.to_owned()))
        }
        _ => EmbeddingSpec::new(typed, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_after_its_result() {
        for (result, page) in [
            ("x.nmf.h5ad", "x.nmf.report.html"),
            ("a/x.pca.h5ad", "a/x.pca.report.html"),
            ("x", "x.report.html"),
            (".", "./results.report.html"),
        ] {
            let result = Path::new(result);
            assert_eq!(default_output(result, result.is_dir()), Path::new(page), "{}", result.display());
        }
        let folder = tempfile::tempdir().expect("a folder");
        let results = folder.path().join("x.nmf");
        std::fs::create_dir(&results).expect("a folder in it");
        assert_eq!(default_output(&results, true), folder.path().join("x.nmf.report.html"));
    }

    #[test]
    fn an_embedding_has_a_key_after_the_last_colon() {
        for (typed, file, key) in [
            ("x.h5ad", "x.h5ad", None),
            ("x.h5ad:X_tsne", "x.h5ad", Some("X_tsne")),
            ("a:b/x.h5ad", "a:b/x.h5ad", None),
            ("a:b/x.h5ad:X_umap", "a:b/x.h5ad", Some("X_umap")),
        ] {
            let found = embedding(Path::new(typed));
            assert_eq!((found.path.as_path(), found.key.as_deref()), (Path::new(file), key), "{typed}");
        }
    }
}

//! Pages of small results that the tests write themselves.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test binary")]

use std::fs;
use std::path::{Path, PathBuf};

use partwise_report::{EmbeddingSpec, FigureFormat, Note, ReportError, ReportSpec, figures, report};
use partwise_storage::anndata::{AnnDataWriter, Value as Uns};
use partwise_storage::{Axis, Overwrite, sealed};
use serde_json::Value;

const CELLS: usize = 12;
const GENES: usize = 6;
const K: usize = 3;

/// Begins a file with names of cells and genes, and a column.
fn begin(path: &Path, cells: usize) -> AnnDataWriter {
    begin_with(path, cells, "b<b>")
}

/// The same with another name of a group.
fn begin_with(path: &Path, cells: usize, group: &str) -> AnnDataWriter {
    let mut file = AnnDataWriter::create(path, Overwrite::Replace).unwrap();
    let mut obs = file.dataframe(Axis::Cells, cells).unwrap();
    // The names of the first two cells are the same.
    obs.names((0..cells).map(|cell| format!("cell{}", cell.max(1)))).unwrap();
    obs.texts("kind", (0..cells).map(|cell| if cell % 3 == 0 { "a" } else { group })).unwrap();
    obs.finish().unwrap();
    let mut var = file.dataframe(Axis::Genes, GENES).unwrap();
    var.names((0..GENES).map(|gene| format!("gene{gene}"))).unwrap();
    var.finish().unwrap();
    file
}

fn number(at: usize) -> f32 {
    ((at * 7919 + 13) % 101) as f32 / 10.0
}

fn story(k: usize, seed: usize) -> Uns {
    let trace: Vec<(String, Uns)> = vec![
        ("accepted".into(), vec![1_i64, 0, 1].into()),
        ("pass".into(), vec![2_i64, 3, 4].into()),
        ("relative_error".into(), vec![0.5, 0.6, 0.25].into()),
    ];
    let members: Vec<(String, Uns)> = vec![
        ("k".into(), Uns::Int(k as i64)),
        ("passes".into(), Uns::Int(4)),
        ("relative_error".into(), 0.25.into()),
        ("seed".into(), seed.to_string().into()),
        ("stop".into(), "converged".into()),
        ("trace".into(), trace.into()),
    ];
    members.into()
}

/// Writes a result of fit; `damage` changes W and H.
fn fit(path: &Path, k: usize, seed: usize, damage: impl Fn(&mut [f32], &mut [f32])) {
    let mut file = begin(path, CELLS);
    let mut w: Vec<f32> = (0..CELLS * k).map(|at| number(at + seed)).collect();
    let mut h: Vec<f32> = (0..GENES * k).map(|at| number(at + 50 + seed)).collect();
    damage(&mut w, &mut h);
    file.array2("obsm", "X_nmf", CELLS, k).unwrap().write_rows(0, &w).unwrap();
    file.array2("varm", "spectra", GENES, k).unwrap().write_rows(0, &h).unwrap();
    file.uns("nmf", &story(k, seed)).unwrap();
    file.finish().unwrap();
}

fn pca(path: &Path) {
    let mut file = begin(path, CELLS);
    let values = |count: usize| (0..count).map(|at| number(at) - 5.0).collect::<Vec<f32>>();
    file.array2("obsm", "X_pca", CELLS, K).unwrap().write_rows(0, &values(CELLS * K)).unwrap();
    file.array2("varm", "PCs", GENES, K).unwrap().write_rows(0, &values(GENES * K)).unwrap();
    file.uns("pca", &Uns::Map(vec![("variance_ratio".into(), vec![0.5, 0.2, 0.1].into())])).unwrap();
    file.uns("partwise_pca", &Uns::Map(vec![("version".into(), "0".into())])).unwrap();
    file.finish().unwrap();
}

/// The `uns["nmf"]` of a consensus of four replicates.
fn agreed(threshold: f64, densities: Vec<f64>) -> Vec<(String, Uns)> {
    vec![
        ("consensus".into(), true.into()),
        ("density".into(), threshold.into()),
        ("distances".into(), distances(&[0, 1, 2, 3, 6, 9])),
        ("k".into(), Uns::Int(K as i64)),
        ("local_density".into(), densities.into()),
        // A spectrum of each program in every replicate, in another order; two are left out.
        ("program_of_spectrum".into(), vec![0_i64, 1, 2, 1, 2, 0, 2, -1, -1, 0, 1, 2].into()),
        ("relative_error".into(), 0.25.into()),
        ("replicates".into(), Uns::Int(4)),
        ("replicates_of".into(), "sweep".into()),
        ("selected_genes".into(), Uns::Int(5)),
        ("stability".into(), 0.875.into()),
    ]
}

/// The distances of these spectra: for the places a < b, a/10 + b/100.
fn distances(places: &[i64]) -> Uns {
    let pairs = places.iter().enumerate().flat_map(|(at, a)| places[at + 1..].iter().map(move |b| (a, b)));
    let pairs: Vec<f64> = pairs.map(|(&a, &b)| a as f64 / 10.0 + b as f64 / 100.0).collect();
    Uns::Map(vec![("pairs".into(), pairs.into()), ("spectra".into(), places.to_vec().into())])
}

/// Local densities of the spectra of the four replicates.
fn densities() -> Vec<f64> {
    vec![0.0, 0.0, 0.013, 0.0, 0.01, 0.0, 0.0, 0.205, 0.3, 0.0, 0.0, 0.02]
}

/// Writes a consensus that tells `about` itself.
fn consensus(path: &Path, about: Vec<(String, Uns)>) {
    let mut file = begin(path, CELLS);
    let values = |count: usize| (0..count).map(number).collect::<Vec<f32>>();
    file.array2("obsm", "X_nmf", CELLS, K).unwrap().write_rows(0, &values(CELLS * K)).unwrap();
    file.array2("varm", "spectra", GENES, K).unwrap().write_rows(0, &values(GENES * K)).unwrap();
    file.uns("nmf", &Uns::Map(about)).unwrap();
    file.finish().unwrap();
}

const TABLE: &str = "k,replicates,stability,error,relative_error,explained,median_error,passes\n\
    2,3,0.875,9,0.5,0.75,0.16,4\n3,3,0.5,8,0.25,0.9375,0.09,6\n";

/// The folder of a sweep of k = 2 and 3, with three replicates each.
fn sweep(path: &Path) {
    fs::create_dir_all(path.join("replicates")).unwrap();
    fs::write(path.join("genes.txt"), "gene0\ngene1\n").unwrap();
    fs::write(path.join("stability.csv"), TABLE).unwrap();
    let settings = serde_json::json!({"seed": "0", "max_passes": "50", "tol": "0.000001", "meet": "true"});
    let description = serde_json::json!({"format": "partwise sweep", "version": 1, "writer": "0", "store": path,
        "fingerprint": "a", "copy_fingerprint": "b", "selected_genes": 2, "genes_sha256": "c", "settings": settings});
    fs::write(path.join("sweep.json"), sealed::to_bytes(&description)).unwrap();
    for k in [2, 3] {
        let mut file = begin(&path.join(format!("replicates/k{k}.from0.h5ad")), 3 * k);
        let (error, passes) = (vec![0.16, 0.25, 0.16], vec![3_i64, 6, 3]);
        let about =
            vec![("k".into(), Uns::Int(k as i64)), ("error".into(), error.into()), ("passes".into(), passes.into())];
        file.uns("sweep", &Uns::Map(about)).unwrap();
        file.finish().unwrap();
    }
}

/// The data of a page.
fn data(html: &str) -> Value {
    let (_, data) = html.split_once("<script type=\"application/json\" id=\"data\">").expect("the data");
    serde_json::from_str(data.split_once("</script>").expect("an end").0).expect("JSON")
}

/// Checks that the axes of every view have names.
#[track_caller]
fn axes_have_names(data: &Value) {
    for (id, figure) in data.as_object().expect("an object") {
        for view in figure["views"].as_array().into_iter().flatten() {
            for axis in ["xaxis", "yaxis"] {
                let title = view["layout"][axis]["title"]["text"].as_str().unwrap_or_default();
                assert!(!title.is_empty(), "{axis} of {id}: {view}");
            }
        }
        for axis in figure["axes"].as_array().into_iter().flatten() {
            assert!(!axis["name"].as_str().unwrap_or_default().is_empty(), "{id}");
        }
    }
}

/// Checks that a file is 30 to 181 mm wide.
#[track_caller]
fn is_of_a_papers_size(file: &str, content: &[u8]) {
    let width = match content.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        // The width is the first number of the first piece; 300 pixels are an inch.
        Some(rest) => 25.4 / 300.0 * f64::from(u32::from_be_bytes(rest[8..12].try_into().unwrap())),
        None => {
            let text = std::str::from_utf8(content).unwrap();
            assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"), "{file}");
            text.split_once("width=\"").unwrap().1.split_once("mm\"").unwrap().0.parse().unwrap()
        }
    };
    assert!((30.0..181.0).contains(&width), "{file}: {width} mm");
}

#[test]
fn no_name_changes_a_figure_and_characters_without_glyph_are_reported() {
    let folder = Folder::new();
    let names = ["b", "</text><text>&amp; \"q\" 'a'\r\nnew\u{1}\u{ffff}", "]]><!--あ"];
    let made: Vec<(Vec<String>, String)> = names
        .iter()
        .map(|name| {
            let mut file = begin_with(&folder.at("r.h5ad"), CELLS, name);
            let table = |rows: usize, from: usize| (0..rows * K).map(|at| number(at + from)).collect::<Vec<f32>>();
            file.array2("obsm", "X_nmf", CELLS, K).unwrap().write_rows(0, &table(CELLS, 0)).unwrap();
            file.array2("varm", "spectra", GENES, K).unwrap().write_rows(0, &table(GENES, 50)).unwrap();
            file.uns("nmf", &story(K, 0)).unwrap();
            file.finish().unwrap();
            let page = report(&folder.at("r.h5ad"), &ReportSpec::default().with_labels(["kind"])).unwrap();
            let texts = page.figures(FigureFormat::Svg).into_iter().map(|(_, svg)| String::from_utf8(svg).unwrap());
            (texts.collect(), page.characters_without_glyph())
        })
        .collect();
    for ((texts, unknown), expected) in made.iter().zip(["", "\u{fffd}", "あ"]) {
        assert_eq!(unknown, expected);
        for (text, plain) in texts.iter().zip(&made[0].0) {
            for mark in ["<", ">", "\n"] {
                assert_eq!(text.matches(mark).count(), plain.matches(mark).count(), "{mark:?} in {text}");
            }
            assert!(!text.contains(['\u{1}', '\u{ffff}', '\r']));
        }
    }
    assert!(made[1].0.iter().any(|text| text.contains("&lt;/text&gt;&lt;text&gt;&amp;amp; &quot;q&quot;")));
}

#[test]
fn figures_are_written_beside_other_files() {
    let folder = Folder::new();
    pca(&folder.at("p.h5ad"));
    let page = report(&folder.at("p.h5ad"), &ReportSpec::default()).unwrap();
    let inside = folder.at("figures");
    let files = page.write_figures(&inside, FigureFormat::Svg, Overwrite::Refuse).unwrap();
    assert_eq!(files, ["cells.svg", "variance.svg", "axes.svg"].map(|name| inside.join(name)));
    fs::write(inside.join("mine.svg"), "mine").unwrap();
    assert!(page.write_figures(&inside, FigureFormat::Svg, Overwrite::Refuse).is_err());
    fs::write(&files[1], "<svg").unwrap();
    page.write_figures(&inside, FigureFormat::Svg, Overwrite::Replace).unwrap();
    assert!(fs::read_to_string(&files[1]).unwrap().ends_with("</svg>\n"));
    assert_eq!(fs::read_to_string(inside.join("mine.svg")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 4);
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn every_kind_has_its_pictures_and_every_axis_a_name() {
    let folder = Folder::new();
    fit(&folder.at("r.h5ad"), K, 0, |_, _| ());
    pca(&folder.at("p.h5ad"));
    fs::create_dir(folder.at("set")).unwrap();
    for (k, seed) in [(2, 0), (2, 1), (3, 0)] {
        fit(&folder.at(&format!("set/k{k}.seed{seed}.h5ad")), k, seed, |_, _| ());
    }
    sweep(&folder.at("x.sweep"));
    consensus(&folder.at("c.h5ad"), agreed(0.2, densities()));
    let labelled = ReportSpec::default().with_labels(["kind"]);
    for (name, spec, pictures) in [
        ("r.h5ad", &labelled, &["programs", "cells", "labels", "shares", "genes", "overlap", "error"][..]),
        (
            "c.h5ad",
            &labelled,
            &["programs", "density", "clusters", "cells", "labels", "shares", "genes", "overlap"][..],
        ),
        ("p.h5ad", &labelled, &["cells", "variance", "axes"][..]),
        ("set", &ReportSpec::default(), &["by_k", "agreement"][..]),
        ("x.sweep", &ReportSpec::default(), &["stability", "explained", "passes"][..]),
    ] {
        let page = report(&folder.at(name), spec).unwrap();
        assert_eq!(page.pictures(), pictures, "{name}");
        axes_have_names(&data(page.html()));
        assert!(pictures.iter().all(|id| page.html().contains(&format!("<section id=\"{id}\""))), "{name}");
        let again = report(&folder.at(name), spec).unwrap();
        assert!(page.html() == again.html(), "{name}: a page is always the same");
        assert_eq!(figures(&folder.at(name)).unwrap(), pictures, "{name}");
        for format in [FigureFormat::Svg, FigureFormat::Png] {
            let files = page.figures(format);
            assert!(files == again.figures(format), "{name}: files of figures are always the same");
            let names: Vec<String> = pictures.iter().map(|id| format.file(id)).collect();
            assert_eq!(files.iter().map(|(file, _)| file.clone()).collect::<Vec<_>>(), names);
            files.iter().for_each(|(file, content)| is_of_a_papers_size(file, content));
        }
        let place = folder.0.path().to_string_lossy().into_owned();
        assert!(!page.html().contains(&place), "{name}: no folder is in a page");
    }
}

#[test]
fn undone_passes_are_marked_and_groups_have_the_means_of_all_cells() {
    let folder = Folder::new();
    // A cell that uses nothing, and a gene that the programs do not know.
    fit(&folder.at("r.h5ad"), K, 0, |w, h| {
        w[..K].fill(0.0);
        h[..K].fill(f32::NAN);
    });
    let data = data(report(&folder.at("r.h5ad"), &ReportSpec::default().with_labels(["kind"])).unwrap().html());
    let traces = &data["error"]["views"][0]["data"];
    assert_eq!((&traces[0]["x"], &traces[1]["x"]), (&serde_json::json!([2, 4]), &serde_json::json!([3])));
    let colours = data["cells"]["colours"].as_array().unwrap();
    let share = |program: usize, cell: usize| colours[1 + program]["values"][cell].as_f64().unwrap();
    let sums: Vec<f64> = (0..CELLS).map(|cell| (0..K).map(|program| share(program, cell)).sum()).collect();
    assert!(sums[0] == 0.0 && sums[1..].iter().all(|sum| (sum - 1.0).abs() < 2e-3), "{sums:?}");
    let view = &data["labels"]["views"][0];
    assert_eq!(view["layout"]["yaxis"]["ticktext"], serde_json::json!(["a", "b<b>"]));
    for (place, program) in view["layout"]["xaxis"]["ticktext"].as_array().unwrap().iter().enumerate() {
        let program: usize = program.as_str().unwrap().parse().unwrap();
        let mean = (0..CELLS).step_by(3).map(|cell| share(program, cell)).sum::<f64>() / 4.0;
        assert!((view["data"][0]["z"][0][place].as_f64().unwrap() - mean).abs() < 1e-3);
    }
}

#[test]
fn cells_of_the_same_name_are_matched_in_their_order() {
    let folder = Folder::new();
    fit(&folder.at("r.h5ad"), K, 0, |_, _| ());
    let mut file = begin(&folder.at("e.h5ad"), CELLS - 1);
    let places: Vec<f32> = (0..2 * (CELLS - 1)).map(|at| at as f32).collect();
    file.array2("obsm", "X_umap", CELLS - 1, 2).unwrap().write_rows(0, &places).unwrap();
    file.finish().unwrap();
    let spec = ReportSpec::default().with_embedding(EmbeddingSpec::new(folder.at("e.h5ad"), None));
    let page = report(&folder.at("r.h5ad"), &spec).unwrap();
    let x = data(page.html())["cells"]["axes"][0]["values"].clone();
    assert_eq!(x, serde_json::json!([0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, null]));
    let [Note::LostCells { lost, of, example, .. }] = page.notes() else { panic!("{:?}", page.notes()) };
    assert_eq!((*lost, *of, example.as_str()), (1, CELLS, "cell11"));
}

#[test]
fn tables_that_contradict_one_another_are_refused() {
    let folder = Folder::new();
    fit(&folder.at("r.h5ad"), K, 0, |w, _| w[4] = f32::NAN);
    let error = report(&folder.at("r.h5ad"), &ReportSpec::default()).map(drop).unwrap_err().to_string();
    assert!(error.contains("obsm/X_nmf") && error.contains("row 1, column 1"), "{error}");

    let mut file = begin(&folder.at("short.h5ad"), CELLS);
    file.array2("obsm", "X_nmf", CELLS - 1, 1).unwrap().write_rows(0, &[1.0; CELLS - 1]).unwrap();
    file.array2("varm", "spectra", GENES, 1).unwrap().write_rows(0, &[1.0; GENES]).unwrap();
    file.uns("nmf", &story(1, 0)).unwrap();
    file.finish().unwrap();
    let error = report(&folder.at("short.h5ad"), &ReportSpec::default()).map(drop).unwrap_err();
    assert!(matches!(error, ReportError::Rows { found: CELLS, expected: 11, .. }), "{error}");
}

#[test]
fn a_sweep_has_its_numbers_and_the_most_stable_k() {
    let folder = Folder::new();
    let at = folder.at("x.sweep");
    sweep(&at);
    let page = report(&at, &ReportSpec::default()).unwrap();
    for said in [
        "3 replicates of k = 2, 3: 6 factorizations X",
        "They see 2 selected genes",
        "At most 50 passes, tolerance 0.000001, seed 0; replicates that come to the same programs go on as one",
        "k = 2 is the most stable (0.875), clearly: the next, k = 3, is 0.375 below.",
        "<td>93.8 %</td>",
    ] {
        assert!(page.html().contains(said), "{said}");
    }
    assert!(!page.html().contains("Files of replicates are missing"));
    let data = data(page.html());
    let layout = &data["stability"]["views"][0]["layout"];
    let [above, below] = ["yaxis", "yaxis2"].map(|axis| layout[axis]["domain"][0].as_f64().unwrap());
    assert!(above > 0.5 && below == 0.0 && layout["xaxis"]["anchor"] == "y2", "{layout}");
    assert_eq!(layout["xaxis"]["tickvals"], serde_json::json!([2, 3]));
    assert_eq!(layout["yaxis2"]["title"]["text"], "relative error");
    let traces = data["stability"]["views"][0]["data"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> = traces.iter().map(|trace| (&trace["yaxis"], &trace["y"])).collect();
    let json = |numbers: &[f64]| serde_json::json!(numbers);
    let expected = [("y", json(&[0.875, 0.5])), ("y2", json(&[0.4, 0.5, 0.4, 0.5])), ("y2", json(&[0.5, 0.25]))];
    assert!(told.iter().zip(&expected).all(|(told, (axis, y))| told.0 == axis && told.1 == y), "{told:?}");
    assert_eq!(traces[1]["customdata"][0], "2 of 3 replicates");
    assert_eq!(data["passes"]["views"][0]["data"][0]["y"], serde_json::json!([3, 6, 3, 6]));

    // In a file, both plots share the axis of k, whose name is below the lower one.
    let (_, svg) = page.figures(FigureFormat::Svg).remove(0);
    let svg = String::from_utf8(svg).unwrap();
    for (text, times) in [("stability (silhouette)", 1), ("number of programs k", 1), (">2<", 2), ("a replicate", 1)] {
        assert_eq!(svg.matches(text).count(), times, "{text}: {svg}");
    }

    fs::remove_file(at.join("replicates/k3.from0.h5ad")).unwrap();
    let page = report(&at, &ReportSpec::default()).unwrap();
    assert!(page.html().contains("Files of replicates are missing"));
}

#[test]
fn a_sweep_that_is_damaged_or_not_finished_is_refused_with_its_file_and_a_remedy() {
    let folder = Folder::new();
    let at = folder.at("x.sweep");
    let refused = |file: &str, content: Option<&[u8]>, said: &str| {
        sweep(&at);
        match content {
            Some(content) => fs::write(at.join(file), content).unwrap(),
            None => fs::remove_file(at.join(file)).unwrap(),
        }
        let error = report(&at, &ReportSpec::default()).map(drop).unwrap_err().to_string();
        let begins = at.join(file).to_string_lossy().into_owned();
        assert!(error.starts_with(&begins) && error.contains(said), "{said}: {error}");
    };
    let again = "run the same sweep again";
    refused("stability.csv", None, "is not there, so the sweep is not finished; run the same sweep again");
    refused("stability.csv", Some(b""), "has no column k");
    refused("stability.csv", Some(TABLE.lines().next().unwrap().as_bytes()), "has no line but its head");
    refused("stability.csv", Some(TABLE.replace("0.875", "much").as_bytes()), "of the column stability in line 2");
    refused("stability.csv", Some(TABLE.replace("3,3,", "2,3,").as_bytes()), "has two lines of k = 2");
    refused("stability.csv", Some(TABLE.replace("3,3,", "0,3,").as_bytes()), "of the column k in line 3");
    refused("stability.csv", Some(&TABLE.as_bytes()[..TABLE.len() - 10]), "in line 3");
    refused("stability.csv", Some(&vec![b'1'; (1 << 20) + 1]), again);
    refused("stability.csv", Some(b"\xff"), again);
    refused("sweep.json", Some(b"{}"), "has changed since it was written");
    let other = sealed::to_bytes(&serde_json::json!({"format": "another sweep", "version": 1}));
    refused("sweep.json", Some(&other), "is no description of a sweep");
    sweep(&at);
    begin(&at.join("replicates/k2.from0.h5ad"), 2).finish().unwrap();
    let error = report(&at, &ReportSpec::default()).map(drop).unwrap_err().to_string();
    assert!(error.contains("k2.from0.h5ad") && error.contains("delete this file"), "{error}");
    sweep(&at);
    let error = report(&at, &ReportSpec::default().with_labels(["kind"])).map(drop).unwrap_err();
    assert!(matches!(error, ReportError::NoCells { .. }), "{error}");
    // Another program's sweep.json in a folder of fits changes nothing.
    fs::remove_file(at.join("genes.txt")).unwrap();
    let error = report(&at, &ReportSpec::default()).map(drop).unwrap_err();
    assert!(matches!(error, ReportError::NoResult { .. }), "{error}");
}

#[test]
fn a_consensus_says_what_it_comes_from_and_what_its_threshold_leaves_out() {
    let folder = Folder::new();
    let at = folder.at("c.h5ad");
    consensus(&at, agreed(0.205, densities()));
    let page = report(&at, &ReportSpec::default()).unwrap();
    for said in [
        "Consensus of 4 replicates of a sweep: k = 3 programs of 12 cells × 6 genes.",
        "The threshold 0.205 leaves out 2 of 12 spectra (16.7 %).",
        "Stability 0.875",
        "Over the 5 selected genes, divided by their standard deviations, the relative error",
    ] {
        assert!(page.html().contains(said), "{said}");
    }
    let of_page = data(page.html());
    let views = of_page["density"]["views"].as_array().unwrap();
    let [kept, left_out, mark] = &views[0]["data"].as_array().unwrap()[..] else { panic!("{}", views[0]) };
    // Bars are 0.01 wide, up to beyond 0.3.
    let counts = |trace: &Value| -> Vec<u64> {
        trace["y"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
    };
    assert_eq!((&counts(kept)[..3], counts(kept).iter().sum::<u64>()), (&[7, 2, 1][..], 10));
    assert_eq!((counts(left_out)[20], counts(left_out)[30], counts(left_out).len()), (1, 1, 31));
    assert_eq!((&kept["x"][1], &kept["width"][1]), (&serde_json::json!(0.015), &serde_json::json!(0.01)));
    assert_eq!((&mark["x"], &mark["name"]), (&serde_json::json!([0.205, 0.205]), &"threshold 0.205".into()));
    assert_eq!(views[0]["layout"]["barmode"], "stack");
    assert_eq!(views[1]["layout"]["yaxis"]["type"], "log");
    // In a file: one panel, with the line at the threshold.
    let (file, svg) = page.figures(FigureFormat::Svg).remove(1);
    let svg = String::from_utf8(svg).unwrap();
    assert_eq!(file, "density.svg");
    for (text, times) in [("threshold 0.205", 1), ("left out (2, 16.7 %)", 1), ("#D55E00", 2), (">spectra<", 1)] {
        assert_eq!(svg.matches(text).count(), times, "{text}: {svg}");
    }

    // A threshold beyond all distances has no line.
    consensus(&at, agreed(2.0, densities()));
    let page = report(&at, &ReportSpec::default()).unwrap();
    assert!(page.html().contains("The threshold 2 keeps all 12 spectra."));
    assert_eq!(data(page.html())["density"]["views"][0]["data"].as_array().unwrap().len(), 1);
    // Results without densities have a page, too.
    consensus(&at, agreed(2.0, Vec::new()));
    assert!(!report(&at, &ReportSpec::default()).unwrap().pictures().contains(&"density"));
}

#[test]
fn distances_of_spectra_stand_program_by_program_and_say_how_many_are_shown() {
    let folder = Folder::new();
    let at = folder.at("c.h5ad");
    consensus(&at, agreed(0.205, densities()));
    let page = report(&at, &ReportSpec::default()).unwrap();
    assert!(page.html().contains("6 of the 10 spectra that the threshold keeps are shown"));
    let of_page = data(page.html());
    let view = &of_page["clusters"]["views"][0];
    let heat = &view["data"][0];
    // Places 0 and 9 are of program 0, 1 and 3 of program 1, 2 and 6 of program 2.
    let place = |at: usize| heat["pairs"][at].as_str().unwrap().split(' ').nth(1).unwrap().parse::<usize>().unwrap();
    let order: Vec<usize> = (0..6).map(place).collect();
    for (program, places) in [[0, 9], [1, 3], [2, 6]].iter().enumerate() {
        let mut found = order[2 * program..][..2].to_vec();
        found.sort_unstable();
        assert_eq!(found, places, "{order:?}");
    }
    for (row, &a) in order.iter().enumerate() {
        for (column, &b) in order.iter().enumerate() {
            let expected = if a == b { 0.0 } else { a.min(b) as f64 / 10.0 + a.max(b) as f64 / 100.0 };
            assert!((heat["z"][row][column].as_f64().unwrap() - expected).abs() < 1e-9, "{a}, {b}");
        }
    }
    assert_eq!(
        heat["pairs"][order.iter().position(|&place| place == 2).unwrap()],
        "spectrum 2 of program 2, local density 0.013"
    );
    let axes = &view["layout"];
    assert_eq!(axes["yaxis"]["ticktext"], serde_json::json!(["program 0", "program 1", "program 2"]));
    assert_eq!(axes["xaxis"]["tickvals"], serde_json::json!([0.5, 2.5, 4.5]));
    assert_eq!(
        (&view["data"][1]["z"][0], view["data"].as_array().unwrap().len()),
        (&serde_json::json!([0, 0, 1, 1, 2, 2]), 2)
    );
    // In a file, the names of the programs stand once at each axis.
    let (file, svg) = page.figures(FigureFormat::Svg).remove(2);
    let svg = String::from_utf8(svg).unwrap();
    assert_eq!(file, "clusters.svg");
    for (text, times) in [(">program 2<", 1), (">2<", 1), ("spectra of each program", 2), (">distance<", 1)] {
        assert_eq!(svg.matches(text).count(), times, "{text}: {svg}");
    }
    // Results without distances have a page, too.
    let mut about = agreed(0.205, densities());
    about.retain(|(name, _)| name != "distances");
    consensus(&at, about);
    assert!(!report(&at, &ReportSpec::default()).unwrap().pictures().contains(&"clusters"));
}

#[test]
fn a_consensus_that_is_damaged_is_refused_with_its_member() {
    let folder = Folder::new();
    let at = folder.at("c.h5ad");
    let refused = |about: Vec<(String, Uns)>, said: &str| {
        consensus(&at, about);
        let error = report(&at, &ReportSpec::default()).map(drop).unwrap_err().to_string();
        assert!(error.contains("c.h5ad") && error.contains(said) && error.contains("as partwise wrote it"), "{error}");
    };
    refused(agreed(0.2, vec![0.1, f64::NAN]), "uns/nmf/local_density");
    refused(agreed(0.2, vec![0.1, -0.1]), "uns/nmf/local_density");
    refused(agreed(f64::NAN, densities()), "uns/nmf/density");
    let mut about = agreed(0.2, densities());
    about.retain(|(name, _)| name != "replicates");
    refused(about, "uns/nmf/replicates");
    let with = |name: &str, value: Uns| {
        let mut about = agreed(0.2, densities());
        about.iter_mut().filter(|(other, _)| other == name).for_each(|(_, old)| *old = value.clone());
        about
    };
    refused(with("k", Uns::Int(K as i64 + 1)), "uns/nmf/k");
    // One is left out, one is not there, and there is a pair too many.
    refused(with("distances", distances(&[0, 7])), "uns/nmf/distances/spectra");
    refused(with("distances", distances(&[0, 12])), "uns/nmf/distances/spectra");
    refused(with("distances", distances(&[-1, 0])), "uns/nmf/distances");
    refused(with("distances", distances(&(0..401).collect::<Vec<_>>())), "more spectra than partwise writes");
    let few = vec![("pairs".into(), vec![0.5, 0.5].into()), ("spectra".into(), vec![0_i64, 1].into())];
    refused(with("distances", Uns::Map(few)), "uns/nmf/distances/pairs");
}

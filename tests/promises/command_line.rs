//! The contract of the command line: help with examples, one line for a mistake, one JSON object, a
//! line per pass.

use crate::program::Folder;

const VERBS: [&str; 13] = [
    "fit",
    "convert",
    "info",
    "verify",
    "export",
    "plan",
    "transform",
    "pca",
    "genes",
    "consensus",
    "report",
    "simulate",
    "bench",
];

#[test]
fn every_verb_explains_itself_with_an_example() {
    let folder = Folder::new();
    let all = folder.ok("--help").stdout;
    for verb in VERBS {
        assert!(all.contains(&format!("  {verb} ")), "--help lists {verb}\n{all}");
        let help = folder.ok(&format!("{verb} --help")).stdout;
        assert!(help.contains("Example") && help.contains(&format!("partwise {verb} ")), "{verb}\n{help}");
        for option in ["--memory", "--threads", "--seed", "--json", "--quiet", "--force"] {
            assert!(help.contains(option), "{verb} --help tells of {option}\n{help}");
        }
    }
    assert!(folder.ok("--version").stdout.starts_with("partwise "));
}

#[test]
fn the_name_alone_lists_the_verbs_and_help_explains_one() {
    let folder = Folder::new();
    assert_eq!(folder.ok("").stdout, folder.ok("-h").stdout);
    assert_eq!(folder.ok("help").stdout, folder.ok("--help").stdout);
    for verb in VERBS {
        assert_eq!(folder.ok(&format!("help {verb}")).stdout, folder.ok(&format!("{verb} --help")).stdout);
    }
}

#[test]
fn sizes_are_printed_in_the_units_in_which_they_are_given() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 600 --genes 300 --programs 3 --depth 200 -o x.h5ad");
    for line in ["convert x.h5ad -o x.pw --memory 1M", "fit x.h5ad -k 3 --memory 2M"] {
        let ran = folder.run(line);
        let given = format!("a memory budget of {} is too small", line.rsplit(' ').next().unwrap());
        assert!(ran.code == Some(2) && ran.stderr.contains(&given) && !ran.stderr.contains("bytes"), "{}", ran.stderr);
    }
}

#[test]
fn a_mistyped_command_is_one_line_and_code_2() {
    let folder = Folder::new();
    for line in [
        "fit",
        "fit x.npy",
        "fit x.npy -k",
        "fit x.npy -k many",
        "fit x.npy -k 3 --memory 64Q",
        "fit x.npy -k 3 --threads 0",
        "fit x.npy -k 3 --solver newton",
        "fit x.npy -k 3 --layer a --raw",
        "fit x.npy -k 3 --no-such-option",
        "convert x.npy",
        "factorise x.npy",
        "simulate --kind clusters --depth 3 -o made.h5ad",
        "simulate --kind counts --cells 0 -o made.h5ad",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(2), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.starts_with("partwise: ") && ran.stderr.lines().count() == 1, "{line}\n{}", ran.stderr);
        assert!(ran.stdout.is_empty() && folder.names().is_empty(), "partwise {line}");
    }
}

#[test]
fn json_is_one_object_on_stdout_for_every_verb() {
    let folder = Folder::new();
    let made = folder.json("simulate --kind counts --cells 600 --genes 300 --programs 3 --depth 200 -o x.h5ad");
    assert_eq!((&made["cells"], &made["genes"], &made["result"]), (&600.into(), &300.into(), &"x.h5ad".into()));

    let converted = folder.json("convert x.h5ad -o x.pw");
    let inside = folder.json("info x.pw");
    let keys = "cells genes nonzeros sum max integer bytes bytes_per_nonzero blocks block_rows";
    for key in keys.split_whitespace() {
        assert!(!inside[key].is_null() && inside[key] == converted[key], "{key}: {inside} {converted}");
    }
    assert_eq!((&inside["nonzeros"], &inside["integer"]), (&made["nonzeros"], &true.into()));
    assert_eq!(folder.json("verify x.pw")["sound"], true);
    assert_eq!(folder.json("export x.pw -o y.h5ad")["nonzeros"], made["nonzeros"]);
    assert_eq!(folder.json("info x.h5ad")["cells"], 600);

    let plan = folder.json("plan x.pw -k 4");
    let fit = folder.json("fit x.pw -k 4 -o r.h5ad");
    let keys = "cells genes k passes sample_passes relative_error explained stop seconds peak_rss_bytes result digest \
                resumed_from_pass ranks rows_per_rank store convert_seconds solver seed threads memory_bytes \
                planned_peak_bytes";
    for key in keys.split_whitespace() {
        assert!(!fit[key].is_null(), "{key} is in {fit}");
    }
    assert_eq!(fit["rows_per_rank"], serde_json::json!([600]));
    // Both include the pages of code that are in memory at the start, which differ from run to run.
    let (told, planned) = (plan["peak_bytes"].as_f64().unwrap(), fit["planned_peak_bytes"].as_f64().unwrap());
    assert!((0.9..1.1).contains(&(told / planned)), "{told} and {planned}");
    let result = folder.json("info r.h5ad");
    for key in ["cells", "genes", "k", "passes", "relative_error", "stop", "digest"] {
        assert_eq!(result[key], fit[key], "{key}");
    }

    let pca = folder.json("pca x.pw -c 5 -o c.h5ad");
    let result = folder.json("info c.h5ad");
    for key in ["cells", "genes", "components", "method", "passes", "variance_ratio", "total_variance", "digest"] {
        assert!(!pca[key].is_null() && result[key] == pca[key], "{key}: {result} {pca}");
    }
}

#[test]
fn info_tells_of_components_how_much_of_the_variance_each_has() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 500 --genes 300 --programs 3 --depth 200 -o x.h5ad");
    for (options, values, more) in [
        ("-c 3", "as they are", None),
        ("-c 25 --log1p --target-sum 50", "log1p of cells scaled to 50", Some("and 5 more")),
    ] {
        let ratios = folder.json(&format!("pca x.h5ad {options} -o c.h5ad --force"))["variance_ratio"].clone();
        let ratios: Vec<f64> = ratios.as_array().unwrap().iter().map(|ratio| ratio.as_f64().unwrap()).collect();
        let text = folder.ok("info c.h5ad").stdout;
        assert!(text.starts_with(&format!("c.h5ad: {} principal components of 500 cells x ", ratios.len())), "{text}");
        assert!(
            text.contains(&format!("\n{:.2} % of the variance after ", 100.0 * ratios.iter().sum::<f64>())),
            "{text}"
        );
        assert!(text.contains(&format!("settings  values {values}, scale none, seed 0\n")), "{text}");
        let listed: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("component")).skip(1).collect();
        for (component, (ratio, line)) in ratios.iter().zip(&listed).take(20).enumerate() {
            let told = format!("{:>9}  {:>6.2} %  ", component + 1, 100.0 * ratio);
            assert!(line.starts_with(&told), "{line} {told}");
        }
        // The first has the longest bar.
        assert!(listed[0].ends_with("  ############"), "{text}");
        assert_eq!(listed.get(20).copied(), more, "{text}");
    }
}

#[test]
fn passes_are_printed_as_they_end_and_the_trace_has_them_all() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 400 --genes 200 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let fit = "fit x.pw -k 3 --init random --max-passes 25 --tol 0 --trace t.csv -o r.h5ad --force";
    let stderr = folder.ok(fit).stderr;
    let told: Vec<&str> = stderr.lines().filter(|line| line.starts_with("pass ")).collect();
    let passes: Vec<usize> = told.iter().map(|line| line[4..8].trim().parse().expect("the number of a pass")).collect();
    assert_eq!(passes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20], "{told:?}");
    assert!(told.iter().all(|line| line.contains("relative error 0.")), "{told:?}");

    let trace = std::fs::read_to_string(folder.path("t.csv")).expect("the trace");
    assert_eq!(trace.lines().count(), 26, "{trace}");
    assert!(trace.starts_with("pass,loss,relative_error,"));
    assert!(folder.ok(&format!("{fit} --quiet")).stderr.is_empty());
}

#[test]
fn more_threads_than_cores_are_allowed_and_reported_once() {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 600 --genes 60 --depth 40 -o x.h5ad");
    let one = folder.json("fit x.h5ad -k 3 -o a.h5ad --threads 1");
    let ran = folder.ok("fit x.h5ad -k 3 -o b.h5ad --threads 4096 --json");
    assert_eq!(ran.stderr.matches("4096 threads on").count(), 1, "{}", ran.stderr);
    assert!(ran.stdout.contains(one["digest"].as_str().expect("a digest")), "{}", ran.stdout);
    assert!(!folder.ok("info x.h5ad --threads 1").stderr.contains("threads on"));
}

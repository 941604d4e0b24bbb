//! `bench` reports every case, as JSON, table and plot, and leaves nothing else behind.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Folder, Ran, names_in, skip};

/// A folder with a store of 3,000 × 200 counts, `x.pw`, in blocks of 256 rows.
fn with_store() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 200 --programs 3 --depth 100 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw --block-rows 256");
    folder
}

#[test]
fn one_object_has_every_case_and_the_choice() {
    let folder = with_store();
    let before = folder.names();
    let line = "bench x.pw -k 3,5 --block-rows 1024,256,512,256 --threads 2,1 --passes 2 --rounds 2";
    let told = folder.json(line);
    assert_eq!(folder.names(), before, "the copies are gone");
    for key in "store cells genes nonzeros layout block_rows tile_rows bytes_per_pass memory_bytes cpu cores cases \
                chosen_block_rows chosen_excess seconds"
        .split_whitespace()
    {
        assert!(!told[key].is_null(), "{key} is in {told}");
    }
    let cases = told["cases"].as_array().expect("a list of cases");
    let number = |case: &Value, key: &str| case[key].as_f64().unwrap_or_else(|| panic!("{key} of {case}"));
    let grid: Vec<[f64; 3]> =
        cases.iter().map(|case| ["k", "threads", "block_rows"].map(|key| number(case, key))).collect();
    let expected = [3.0, 5.0].map(|k| [1.0, 2.0].map(|threads| [256.0, 512.0, 1024.0].map(|rows| [k, threads, rows])));
    assert_eq!(grid, expected.concat().concat());
    for case in cases {
        for key in "blocks threads_used planned_peak_bytes median_seconds best_seconds bytes_per_second \
                    nonzeros_per_second flops_per_second peak_rss_bytes cpu_seconds"
            .split_whitespace()
        {
            assert!(number(case, key) > 0.0, "{key} of {case}");
        }
        assert!(number(case, "waiting_seconds") >= 0.0 && case["fits"] == true && case["mapped"] == true, "{case}");
        assert_eq!(case["pass_seconds"].as_array().map(Vec::len), Some(4), "{case}");
        assert!(number(case, "best_seconds") <= number(case, "median_seconds"), "{case}");
        assert!(number(case, "peak_rss_bytes") <= number(case, "planned_peak_bytes"), "{case}");
        let flops = 4.0 * number(&told, "nonzeros") * number(case, "k") / number(case, "best_seconds");
        assert!((flops / number(case, "flops_per_second") - 1.0).abs() < 1e-9, "{case}");
    }
    assert!(["256", "512", "1024"].contains(&told["chosen_block_rows"].to_string().as_str()), "{told}");
}

#[test]
fn without_json_there_is_a_table_and_the_next_step() {
    let folder = with_store();
    let ran = folder.ok("bench x.pw -k 4 --threads 1 --passes 1 --rounds 1");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let header =
        lines.iter().position(|line| line.contains("block rows") && line.contains("GFLOP/s")).expect("a table");
    let heights: Vec<&str> = lines[header + 1..].iter().map_while(|line| line.split_whitespace().next()).collect();
    assert_eq!(heights, ["256", "512", "1,024", "2,048"], "{}", ran.stdout);
    let advice = lines.iter().find(|line| line.starts_with("chosen here: blocks of ")).expect("a choice");
    assert!(advice.contains("3 %") && (advice.contains("which this store has") || advice.contains("--block-rows")));
    assert!(ran.stdout.contains("last bits"), "{}", ran.stdout);
}

#[test]
fn the_recommended_command_works() {
    let folder = with_store();
    folder.ok("convert x.pw -o y.pw --block-rows 1024");
    folder.ok("convert x.h5ad -o z.pw --block-rows 1024");
    folder.ok("verify y.pw");
    assert_eq!(folder.json("info y.pw")["fingerprint"], folder.json("info z.pw")["fingerprint"]);
    let fit = |store: &str| folder.json(&format!("fit {store} -k 3 -o r.h5ad --force"))["digest"].clone();
    assert_eq!(fit("y.pw"), fit("z.pw"));

    let before = folder.names();
    for (line, code, said) in [
        ("convert x.pw -o new.pw", 2, "--block-rows"),
        ("convert x.pw -o new.pw --block-rows 300", 2, "256"),
        ("convert x.pw -o new.pw --block-rows 512 --layer counts", 2, "--layer"),
        ("convert x.pw -o y.pw --block-rows 512", 73, "--force"),
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(code), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said), "partwise {line}\n{}", ran.stderr);
        assert_eq!(folder.names(), before, "partwise {line}");
    }
}

#[test]
fn the_plot_is_a_whole_picture() {
    let folder = with_store();
    folder.ok("bench x.pw -k 3,4 --block-rows 256,512 --threads 1 --passes 1 --rounds 1 --plot x.svg");
    let svg = std::fs::read_to_string(folder.path("x.svg")).expect("the plot");
    let elements = elements(&svg);
    assert_eq!(elements.first().map(String::as_str), Some("svg"));
    // A line for each k in both halves, a point for each case, and texts.
    let count = |name: &str| elements.iter().filter(|element| *element == name).count();
    assert_eq!(count("circle"), 8, "{svg}");
    assert!(count("polyline") >= 4 && count("text") > 10, "{svg}");
    for words in ["k = 3, 1 thread", "k = 4, 1 thread", "rows of a block", "peak memory", "best time", "512"] {
        assert!(svg.contains(words), "{words} is in the plot");
    }

    let before = folder.names();
    let ran = folder.run("bench x.pw -k 3 --block-rows 256 --passes 1 --rounds 1 --plot x.svg");
    assert_eq!((ran.code, folder.names()), (Some(73), before), "{}", ran.stderr);
}

/// The names of the elements of an XML text. Panics if its tags do not nest.
fn elements(xml: &str) -> Vec<String> {
    let (mut seen, mut open) = (Vec::new(), Vec::new());
    for tag in xml.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').expect("a tag that ends");
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap_or_default().to_owned();
        if tag.starts_with(['?', '!']) {
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "quotes in <{tag}> come in pairs");
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_ref(), Some(&name), "tags nest");
            continue;
        }
        seen.push(name.clone());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are closed");
    seen
}

#[test]
fn wrong_settings_are_refused_before_anything_is_copied() {
    let folder = with_store();
    let before = folder.names();
    for (line, code, said) in [
        ("bench x.pw --block-rows 256,many", 2, "many"),
        ("bench x.pw --block-rows 256,,512", 2, "--block-rows"),
        ("bench x.pw --block-rows 0", 2, "--block-rows"),
        ("bench x.pw --block-rows 256,300", 2, "such as 512"),
        ("bench x.pw --threads 1,0", 2, "--threads"),
        ("bench x.pw -k 3,x", 2, "x"),
        ("bench x.pw -k 500", 2, "choose 1 ≤ k ≤ 200"),
        ("bench x.pw --passes 0", 2, "--passes"),
        ("bench x.pw --rounds 0", 2, "--rounds"),
        ("bench x.pw -k 3 --memory 1M", 2, "the smallest is"),
        ("bench none.pw", 66, "no such file"),
        ("bench x.h5ad", 65, "partwise convert"),
        ("bench x.pw -k 3 --tmp none", 74, "mkdir"),
        ("bench x.pw -k 3 --tmp x.pw", 2, "inside the store"),
        ("bench x.pw -k 3 --plot none/x.svg", 74, "mkdir"),
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(code), "partwise {line}\n{}", ran.stderr);
        assert!(ran.stderr.starts_with("partwise: ") && ran.stderr.lines().count() == 1, "{line}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said) && ran.stdout.is_empty(), "partwise {line}\n{}", ran.stderr);
        assert_eq!(folder.names(), before, "partwise {line}");
    }
}

#[test]
fn a_case_beyond_the_memory_is_reported_and_the_others_run() {
    let folder = with_store();
    let plan = |k| folder.json(&format!("plan x.pw -k {k} --threads 1 --init random"))["peak_bytes"].clone();
    let (small, large) = (plan(2).as_u64().expect("a size"), plan(200).as_u64().expect("a size"));
    assert!(small < large);
    let memory = small + (large - small) / 8;
    let told = folder.json(&format!(
        "bench x.pw -k 2,200 --threads 1 --block-rows 256,2048 --passes 1 --rounds 1 --memory {memory}"
    ));
    let fits: Vec<bool> = told["cases"].as_array().expect("cases").iter().map(|case| case["fits"] == true).collect();
    assert_eq!(fits[..2], [true, true], "{told}");
    assert!(!fits[3] && told["cases"][3]["needed_bytes"].as_u64() > Some(memory), "{told}");
    assert!(told["cases"][3]["best_seconds"].is_null() && told["chosen_block_rows"].is_u64(), "{told}");
}

#[test]
fn damage_ends_it_and_leaves_nothing() {
    let folder = with_store();
    let blocks = folder.path("x.pw/blocks-00000.bin");
    let mut bytes = std::fs::read(&blocks).expect("the blocks");
    bytes[2_000] ^= 8;
    std::fs::write(&blocks, bytes).expect("the blocks are written back");
    let before = folder.names();
    // The copy detects it, and so does the process of a case.
    for heights in ["512", "256"] {
        let ran = folder.run(&format!("bench x.pw -k 3 --threads 1 --block-rows {heights}"));
        assert_eq!(ran.code, Some(65), "{}", ran.stderr);
        assert!(ran.stderr.contains("damaged") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
        assert_eq!(folder.names(), before);
    }
}

/// Waits until the folder holds a new file.
fn wait_for_a_new_name(folder: &Folder, before: &[String], child: &mut Child) {
    let began = Instant::now();
    while folder.names() == before {
        assert!(child.try_wait().expect("the program's state").is_none(), "the program has ended early");
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was made in a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn ctrl_c_leaves_nothing() {
    let folder = with_store();
    let before = folder.names();
    let mut child = folder.start("bench x.pw -k 3 --passes 1000 --rounds 1000 --block-rows 256,512");
    wait_for_a_new_name(&folder, &before, &mut child);
    // Long enough to reach the passes.
    std::thread::sleep(Duration::from_millis(300));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let ran = Ran::from(child.wait_with_output().expect("the program ends"));
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.lines().last().is_some_and(|last| last.contains("interrupted")), "{}", ran.stderr);
    assert_eq!(folder.names(), before);
}

#[test]
fn a_run_removes_the_copies_of_a_killed_run_and_keeps_those_of_a_live_one() {
    let folder = with_store();
    let before = folder.names();
    let long = "bench x.pw -k 3 --passes 1000 --rounds 1000 --block-rows 256,512";
    let mut killed = folder.start(long);
    wait_for_a_new_name(&folder, &before, &mut killed);
    std::thread::sleep(Duration::from_millis(100));
    killed.kill().and_then(|()| killed.wait()).expect("the program is killed");
    let left = folder.names();
    assert_ne!(left, before);

    let mut live = folder.start(long);
    wait_for_a_new_name(&folder, &left, &mut live);
    std::thread::sleep(Duration::from_millis(100));
    folder.ok("bench x.pw -k 3 --passes 1 --rounds 1 --block-rows 256,512");
    let with_live = folder.names();
    assert_eq!(with_live.len(), before.len() + 1, "{left:?} became {with_live:?}");
    assert!(live.try_wait().expect("the program's state").is_none(), "its copies were taken from it");
    live.kill().and_then(|()| live.wait()).expect("the program is killed");
    folder.ok("bench x.pw -k 3 --passes 1 --rounds 1 --block-rows 256,512");
    assert_eq!(folder.names(), before);
}

#[test]
fn a_disk_without_room_is_refused_before_anything_is_copied() {
    let folder = with_store();
    let small = folder.path("small");
    std::fs::create_dir(&small).expect("a folder in the folder");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small).output();
    if !mounted.is_ok_and(|mount| mount.status.success()) {
        return skip("a disk without room: mounting a small tmpfs takes root");
    }
    let ran = folder.run("bench x.pw -k 3 --tmp small --block-rows 512,1024");
    let left = names_in(&small);
    let _ = Command::new("umount").arg(&small).status();
    assert_eq!(ran.code, Some(74), "{}", ran.stderr);
    assert!(ran.stderr.contains("small") && ran.stderr.contains("--tmp"), "{}", ran.stderr);
    assert!(left.is_empty(), "{left:?}");
}

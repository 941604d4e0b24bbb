//! `plan --nodes` adds a forecast for many nodes, and changes nothing else in the report of `plan`.

use serde_json::Value;

use crate::program::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 3000 --genes 400 --depth 200 -o x.h5ad");
    folder.ok("convert x.h5ad -o x.pw --block-rows 256");
    folder
}

#[track_caller]
fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"))
}

#[test]
fn nodes_add_keys_and_change_none() {
    let folder = folder();
    let plain = folder.json("plan x.pw -k 4 --threads 1");
    assert!(plain.get("scaling").is_none() && plain.get("nodes").is_none(), "{plain}");
    assert!(!folder.ok("plan x.pw -k 4").stdout.contains("nodes"));

    let many = folder.json("plan x.pw -k 4 --threads 1 --nodes 3 --network 1Gb --disk 2G --shared-disk 100G");
    for key in plain.as_object().expect("an object").keys() {
        assert!(many.get(key).is_some(), "{key} is in {many}");
    }
    assert_eq!((&many["nodes"], &many["network_bits_per_second"]), (&3.into(), &1e9.into()));
    // k = 4 needs no padding.
    assert_eq!(many["summed_bytes_per_pass"], 8 * (400 * 4 + 4 * 4));
    assert_eq!(many["largest_useful_nodes"], many["blocks"]);
    for key in ["latency_seconds", "adding_seconds_per_byte", "stops_at_nodes", "stops_by"] {
        assert!(!many[key].is_null(), "{key} is in {many}");
    }

    let rows = many["scaling"].as_array().expect("rows");
    let nodes: Vec<u64> = rows.iter().map(|row| row["nodes"].as_u64().expect("a number")).collect();
    assert_eq!(nodes[..4], [1, 2, 3, 4]);
    for row in rows {
        let parts = number(row, "folding_seconds").max(number(row, "reading_seconds"))
            + number(row, "joining_seconds")
            + number(row, "summing_seconds")
            + number(row, "update_seconds");
        assert!((parts / number(row, "pass_seconds") - 1.0).abs() < 1e-9, "{row}");
        assert!(row["limit"].is_string() && row["cells"].as_u64() >= Some(3000 / row["nodes"].as_u64().unwrap()));
    }
    let (alone, two) = (&rows[0], &rows[1]);
    for key in ["pass_seconds", "folding_seconds", "reading_seconds", "update_seconds", "peak_bytes"] {
        assert_eq!(alone[key], many[key], "{key} of one node is that of the plan");
    }
    assert_eq!((number(alone, "summing_seconds"), number(alone, "efficiency")), (0.0, 1.0));
    assert!(number(two, "summing_seconds") > 0.0 && number(two, "peak_bytes") <= number(alone, "peak_bytes"));
}

#[test]
fn a_file_gets_a_forecast_before_it_is_a_store() {
    let folder = folder();
    let told = folder.json("plan x.h5ad -k 4 --nodes 2 --network 40Gb,5us");
    assert_eq!((&told["estimated"], &told["latency_seconds"]), (&true.into(), &5e-6.into()));
    assert_eq!(told["largest_useful_nodes"], told["blocks"]);
}

#[test]
fn without_json_the_forecast_is_a_table() {
    let folder = folder();
    let said = folder.ok("plan x.pw -k 4 --nodes 2").stdout;
    assert!(
        said.contains("10 Gb/s each way, 30 us") && said.contains("limited by") && said.contains("stops    at"),
        "{said}"
    );
}

#[test]
fn an_impossible_cluster_is_2() {
    let folder = folder();
    for (options, said) in [
        ("--nodes 4 --network fast", "40Gb,5us"),
        ("--nodes 4 --network 0Gb,1us", "40Gb,5us"),
        ("--nodes 0", "number of nodes"),
        ("--nodes 70000", "65536"),
        ("--nodes 4 --disk 0", "larger than 0"),
        ("--nodes 4 --disk quick", "such as 64M"),
        ("--network 10Gb", "--nodes"),
        ("--shared-disk 10G", "--nodes"),
    ] {
        let ran = folder.run(&format!("plan x.pw -k 4 {options}"));
        assert_eq!((ran.code, ran.stderr.lines().count()), (Some(2), 1), "{options}\n{}", ran.stderr);
        assert!(ran.stderr.contains(said) && ran.stdout.is_empty(), "{options}\n{}", ran.stderr);
    }
}

//! Packs plotly.js for the pages: gzip, then base64, because a page is a text.

use std::io::Write;
use std::path::Path;
use std::{env, fs};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The crate plotly gives two script elements: plotly.js, and MathJax, which no picture uses.
    let sources = plotly::Plot::offline_js_sources();
    let script = sources
        .split_once("<script type=\"text/javascript\">")
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map(|(script, _)| script)
        .expect("the crate plotly has plotly.js in a script element");
    assert!(script.contains("plotly.js v"), "the first script of the crate plotly is plotly.js");
    assert!(script.len() > 1 << 20, "plotly.js is whole");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(script.as_bytes()).expect("memory takes all bytes");
    let packed = packed.finish().expect("memory takes all bytes");
    let folder = env::var_os("OUT_DIR").expect("cargo names the folder");
    fs::write(Path::new(&folder).join("plotly.js.gz.base64"), STANDARD.encode(packed)).expect("the folder takes files");
}

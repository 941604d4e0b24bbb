//! Reads the project's own Rust files: their code, comments and literals.

use std::fs;
use std::path::{Path, PathBuf};

/// Splits a Rust file into its code, with empty literals, and its comments and literals.
pub(crate) fn split(text: &str) -> (String, Vec<&str>) {
    let (mut code, mut texts, mut rest) = (String::new(), Vec::new(), text);
    while let Some(next) = rest.chars().next() {
        let length = match text_at(rest, code.ends_with(is_word)) {
            0 => {
                code.push(next);
                next.len_utf8()
            }
            length => {
                texts.push(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    (code, texts)
}

/// The length of the comment or literal that `rest` begins with; 0: code.
fn text_at(rest: &str, within_word: bool) -> usize {
    let hashes = rest[1.min(rest.len())..].bytes().take_while(|byte| *byte == b'#').count();
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    let characters: Vec<char> = rest.chars().take(3).collect();
    match characters[..] {
        ['/', '/', ..] => until("\n", 0),
        ['/', '*', ..] => until("*/", 2),
        ['r', ..] if !within_word && rest[1 + hashes..].starts_with('"') => {
            until(&format!("\"{}", "#".repeat(hashes)), 2 + hashes)
        }
        // Not a lifetime.
        ['"', ..] | ['\'', '\\', ..] | ['\'', _, '\''] => {
            let mut characters = rest.char_indices().skip(1);
            while let Some((at, character)) = characters.next() {
                match character {
                    '\\' => drop(characters.next()),
                    character if rest.starts_with(character) => return at + 1,
                    _ => (),
                }
            }
            rest.len()
        }
        _ => 0,
    }
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The files of a module or a crate.
pub(crate) fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return path.extension().filter(|ending| *ending == "rs").map(|_| path.into()).into_iter().collect();
    }
    let entries = fs::read_dir(path).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| !stem(path).starts_with("tests")).flat_map(|path| files(&path)).collect()
}

pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// The folders of sources of the crates, separated by spaces.
pub(crate) fn sources(parts: &str) -> Vec<PathBuf> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    parts.split(' ').map(|part| crates.join(part)).collect()
}

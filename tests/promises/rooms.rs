//! The top-level modules of a crate use each other in one direction only, and the libraries know no
//! option of the program, because other programs have other options.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::sources::{files, is_word, sources, split, stem};

fn first_word(text: &str) -> &str {
    text.trim_start().split(|character| !is_word(character)).next().unwrap_or_default()
}

/// The end of the item at the start of `code`: after its braces, or before its semicolon.
fn item_end(code: &str) -> usize {
    let mut depth = 0;
    let end = code.char_indices().find(|&(_, character)| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        depth == 0 && matches!(character, '}' | ';')
    });
    end.map_or(code.len(), |(at, character)| at + usize::from(character == '}'))
}

/// The code of a file, without code that is compiled for its tests only.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    let (mut code, _) = split(&text);
    while let Some(at) = code.find("#[cfg(test)]") {
        code.replace_range(at..at + item_end(&code[at..]), "");
    }
    code
}

/// The names that follow `crate::`, alone or in a list.
fn used(code: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if !rest.starts_with('{') {
            names.insert(first_word(rest));
            continue;
        }
        let mut depth = 0;
        let parts = rest[1..item_end(rest) - 1].split(|character| {
            depth += i32::from(character == '{') - i32::from(character == '}');
            depth == 0 && character == ','
        });
        names.extend(parts.map(first_word));
    }
    names
}

/// The top-level modules in `folder`, and the top-level modules that each of them uses.
fn graph(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let entries = fs::read_dir(folder).expect("a folder of sources").map(|entry| entry.expect("an entry").path());
    let (roots, rooms): (Vec<PathBuf>, Vec<PathBuf>) = entries
        .filter(|path| !stem(path).starts_with("tests"))
        .partition(|path| ["lib", "main"].contains(&stem(path).as_str()));
    let rooms: BTreeMap<String, PathBuf> = rooms.into_iter().map(|path| (stem(&path), path)).collect();
    // Names that the crate re-exports, with their modules.
    let mut exported = BTreeMap::new();
    for code in roots.iter().map(|root| code_of(root)) {
        for rest in code.split(" use ").skip(1) {
            let item = &rest[..rest.find(';').unwrap_or(rest.len())];
            let names = item.split(|character| !is_word(character)).map(str::to_owned);
            exported.extend(names.map(|name| (name, first_word(item).to_owned())));
        }
    }
    let uses = |name: &String, path: &Path| -> BTreeSet<String> {
        let codes = files(path).into_iter().map(|file| {
            let below = file.strip_prefix(folder).expect("a file in the folder").components().count();
            let depth = below - usize::from(stem(&file) == "mod");
            code_of(&file).replace(&"super::".repeat(depth), "crate::")
        });
        let names: BTreeSet<String> =
            codes.flat_map(|code| used(&code).into_iter().map(str::to_owned).collect::<Vec<_>>()).collect();
        let resolved = names.into_iter().map(|name| match exported.get(&name) {
            Some(room) if !rooms.contains_key(&name) => room.clone(),
            _ => name,
        });
        resolved.filter(|used| used != name && rooms.contains_key(used)).collect()
    };
    rooms.iter().map(|(name, path)| (name.clone(), uses(name, path))).collect()
}

/// The modules that `from` uses, and those that these use, and so on.
fn reached<'g>(graph: &'g BTreeMap<String, BTreeSet<String>>, from: &'g String) -> BTreeSet<&'g String> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(room) = next.pop() {
        next.extend(graph[room].iter().filter(|used| seen.insert(*used)));
    }
    seen
}

#[test]
fn modules_use_each_other_in_one_direction() {
    for folder in sources("storage/src kernels/src driver/src mpi/src partwise/src report/src cli") {
        let graph = graph(&folder);
        assert!(graph.values().any(|used| !used.is_empty()) || graph.len() < 5, "{graph:?}");
        let in_circle: Vec<_> = graph.iter().filter(|(room, _)| reached(&graph, room).contains(room)).collect();
        assert!(in_circle.is_empty(), "{}: modules in a circle, and what they use: {in_circle:?}", folder.display());
    }
}

#[test]
fn libraries_name_no_option_of_the_program() {
    for file in
        sources("storage/src kernels/src driver/src partwise/src report/src").iter().flat_map(|folder| files(folder))
    {
        let text = fs::read_to_string(&file).expect("a source file");
        for text in split(&text).1 {
            let mut after = text.split("--").skip(1);
            let option = after.find(|rest| rest.starts_with(|first: char| first.is_ascii_lowercase()));
            assert!(option.is_none(), "{} names an option: {text}", file.display());
        }
    }
}

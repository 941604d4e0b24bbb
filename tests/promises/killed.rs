//! A kill at any moment destroys nothing and leaves no incomplete file that looks complete, and the
//! next run reaches the same bits. `scripts/kill-test` kills hundreds of times, also while files
//! are renamed, and damages checkpoints as well.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use crate::program::Folder;

/// The kills of each command, at even steps from its start to its end.
const KILLS: u32 = 6;

/// A command that replaces an existing output.
struct Replacement<'j> {
    /// Puts the old output in place, and nothing else.
    prepare: &'j dyn Fn(),
    line: &'j str,
    /// Checks that the output is complete, and returns a hash of its bits.
    bits: &'j dyn Fn() -> String,
}

impl Replacement<'_> {
    /// Runs the command once to its end. Then kills it several times, checks the output, and runs
    /// it to its end again.
    fn is_killed(&self, folder: &Folder) {
        (self.prepare)();
        let old = (self.bits)();
        let began = Instant::now();
        folder.ok(self.line);
        let mut whole = began.elapsed();
        let (new, names) = ((self.bits)(), folder.names());
        assert_ne!(old, new);

        // If other work slowed down the timed run, some runs end before their kill: the next ones are
        // killed earlier.
        let (mut killed, mut tries) = (0, 0);
        while killed < KILLS {
            assert!(tries < 4 * KILLS, "{killed} of {tries} runs were killed");
            (self.prepare)();
            let mut child = folder.start(self.line);
            std::thread::sleep(whole * (2 * (tries % KILLS) + 1) / (2 * KILLS));
            // Fails if the run has ended already.
            let _ = child.kill();
            let was_killed = child.wait().expect("the program ends").code().is_none();
            let left = (self.bits)();
            assert!(left == old || left == new, "killed for the {tries}th time, {left} is neither {old} nor {new}");
            folder.ok(self.line);
            assert_eq!(((self.bits)(), folder.names()), (new.clone(), names.clone()), "partwise {}", self.line);
            tries += 1;
            if was_killed {
                killed += 1;
            } else {
                whole = whole * 2 / 3;
            }
        }
    }
}

/// A folder with counts, `x.h5ad`, and two small stores, `old.pw` and `table.pw`.
fn with_inputs() -> Folder {
    let folder = Folder::new();
    folder.ok("simulate --kind counts --cells 30000 --genes 1000 --programs 4 --depth 200 -o x.h5ad");
    folder.ok("simulate --kind counts --cells 2000 --genes 1000 --programs 4 --depth 100 --seed 1 -o old.h5ad");
    folder.ok("convert old.h5ad -o old.pw");
    folder.ok("simulate --kind clusters --cells 6000 --genes 200 --programs 4 -o table.h5ad");
    folder.ok("convert table.h5ad -o table.pw");
    folder
}

/// Removes a folder if it exists.
fn remove(folder: &Folder, name: &str) {
    let path = folder.path(name);
    assert!(!path.exists() || std::fs::remove_dir_all(&path).is_ok(), "{} is removed", path.display());
}

#[test]
fn a_store_is_the_old_or_the_new_one() {
    let folder = with_inputs();
    let conversion = Replacement {
        prepare: &|| {
            remove(&folder, "x.pw");
            folder.ok("convert old.pw -o x.pw --block-rows 512");
        },
        line: "convert x.h5ad -o x.pw --force",
        bits: &|| {
            folder.ok("verify x.pw");
            folder.json("info x.pw")["fingerprint"].to_string()
        },
    };
    conversion.is_killed(&folder);
}

#[test]
fn a_fit_resumes_from_its_checkpoints_and_a_result_stays_until_it_is_replaced() {
    let folder = with_inputs();
    folder.ok("fit old.pw -k 3 --max-passes 2 -o old.nmf.h5ad");
    let prepare = || {
        ["x.pw", "saved"].iter().for_each(|name| remove(&folder, name));
        std::fs::copy(folder.path("old.nmf.h5ad"), folder.path("r.h5ad")).expect("an old result");
    };
    let bits = || folder.json("info r.h5ad")["digest"].to_string();
    let saving = "--tol 0 -o r.h5ad --force --checkpoint saved --checkpoint-every 1 --resume";
    for fit in [
        "x.h5ad --store x.pw -k 5 --init random --max-passes 20 --threads 1",
        "table.pw -k 6 --solver bpp --init random --max-passes 20",
    ] {
        let line = format!("fit {fit} {saving}");
        Replacement { prepare: &prepare, line: &line, bits: &bits }.is_killed(&folder);
    }
}

#[test]
fn components_resume_from_their_checkpoints_and_a_result_stays_until_it_is_replaced() {
    let folder = with_inputs();
    folder.ok("pca old.pw -c 3 -o old.pca.h5ad");
    folder.ok("convert x.h5ad -o x.pw");
    let prepare = || {
        remove(&folder, "saved");
        std::fs::copy(folder.path("old.pca.h5ad"), folder.path("r.h5ad")).expect("an old result");
    };
    let bits = || {
        let mut hash = DefaultHasher::new();
        std::fs::read(folder.path("r.h5ad")).expect("a result").hash(&mut hash);
        format!("{:016x}", hash.finish())
    };
    let saving = "-o r.h5ad --force --checkpoint saved --checkpoint-every 1 --resume";
    let line = format!("pca x.pw -c 20 --log1p --method krylov --threads 1 {saving}");
    Replacement { prepare: &prepare, line: &line, bits: &bits }.is_killed(&folder);
}

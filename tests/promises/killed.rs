//! Killed at any moment, the program destroys nothing, leaves nothing that looks whole and is not, and comes to the same bits
//! when it is run again. `scripts/kill-test` kills hundreds of times, also where files are renamed, and damages checkpoints besides.

use std::time::Instant;

use crate::program::Folder;

/// Kills of each job, from its start to its end in even steps.
const KILLS: u32 = 6;

/// Something that is there already, and that a line replaces.
struct Job<'j> {
    /// Puts the old one there, and nothing else.
    prepare: &'j dyn Fn(),
    line: &'j str,
    /// Checks that what is there is whole, and names its bits.
    bits: &'j dyn Fn() -> String,
}

impl Job<'_> {
    /// Runs the job undisturbed; then kills it again and again, looks, and lets it go on to its end.
    fn is_killed(&self, folder: &Folder) {
        (self.prepare)();
        let old = (self.bits)();
        let began = Instant::now();
        folder.ok(self.line);
        let whole = began.elapsed();
        let (new, names) = ((self.bits)(), folder.names());
        assert_ne!(old, new);

        let mut killed = 0;
        for kill in 0..KILLS {
            (self.prepare)();
            let mut child = folder.start(self.line);
            std::thread::sleep(whole * (2 * kill + 1) / (2 * KILLS));
            // Refused where it has ended already.
            let _ = child.kill();
            killed += u32::from(child.wait().expect("the program ends").code().is_none());
            let left = (self.bits)();
            assert!(left == old || left == new, "killed for the {kill}th time, {left} is neither {old} nor {new}");
            folder.ok(self.line);
            assert_eq!(((self.bits)(), folder.names()), (new.clone(), names.clone()), "partwise {}", self.line);
        }
        // On a machine that had other work when the first run was timed, some end before they are killed.
        assert!(killed >= KILLS / 2, "{killed} of {KILLS} runs were killed");
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

/// Removes a folder that may be there.
fn remove(folder: &Folder, name: &str) {
    let path = folder.path(name);
    assert!(!path.exists() || std::fs::remove_dir_all(&path).is_ok(), "{} is removed", path.display());
}

#[test]
fn a_store_is_the_old_or_the_new_one() {
    let folder = with_inputs();
    let job = Job {
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
    job.is_killed(&folder);
}

#[test]
fn a_fit_goes_on_from_its_checkpoints_and_a_result_stays_until_it_is_replaced() {
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
        Job { prepare: &prepare, line: &line, bits: &bits }.is_killed(&folder);
    }
}

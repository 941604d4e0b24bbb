//! The scratch of update rules grows once, and to no more than [`RuleScratch::bytes`].

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use partwise_kernels::{Dead, FactorBuf, Isa, RuleScratch, UpdateRule};

thread_local! {
    /// The allocations of this thread, and its allocated bytes minus its freed bytes.
    static COUNTS: Cell<(u64, i64)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(allocations: u64, bytes: i64) {
    // A thread that ends may free memory after its counts are gone.
    let _ = COUNTS.try_with(|counts| {
        let (before, held) = counts.get();
        counts.set((before + allocations, held + bytes));
    });
}

// SAFETY: forwards every call to the system's allocator. Counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller guarantees the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: the caller guarantees the same.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count(1, new as i64 - layout.size() as i64);
        // SAFETY: the caller guarantees the same.
        unsafe { System.realloc(memory, layout, new) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RULES: [UpdateRule; 3] = [UpdateRule::Hals { sweeps: 2 }, UpdateRule::Mu, UpdateRule::Bpp];

/// Rows that make block pivoting try several sets.
fn factor(rows: usize, k: usize, seed: usize) -> FactorBuf {
    let mut factor = FactorBuf::zeros(rows, k);
    for (i, row) in factor.view_mut(rows, k).iter_mut().enumerate() {
        for (c, value) in row[..k].iter_mut().enumerate() {
            *value = ((i * 31 + c * 17 + seed * 7) % 11) as f32 * ((i + c + seed) % 3) as f32;
        }
    }
    factor
}

#[test]
fn applying_a_rule_again_allocates_nothing() {
    let rows = 70;
    for isa in Isa::available() {
        let mut scratch = RuleScratch::new();
        let before = COUNTS.get();
        let mut largest = 0;
        for k in [3, 5, 20, 7, 65, 64] {
            let mut sums = vec![0.0; k * k];
            partwise_kernels::gram::add_gram(&mut sums, factor(k + 5, k, 1).view(k + 5, k));
            let gram: Vec<f32> = sums.iter().map(|&g| g as f32).collect();
            let (w, cross) = (factor(rows, k, 2), factor(rows, k, 3));
            let rules = RULES.map(|rule| rule.prepare_with(isa, &gram, k, Dead::Zero));
            for (rule, prepared) in RULES.iter().zip(&rules) {
                let mut w = [w.clone(), w.clone()];
                prepared.apply(w[0].view_mut(rows, k), cross.view(rows, k), &mut scratch);
                let (first, _) = COUNTS.get();
                prepared.apply(w[1].view_mut(rows, k), cross.view(rows, k), &mut scratch);
                assert_eq!(COUNTS.get().0, first, "{rule:?} with {k} components and {isa:?}");
                assert_eq!(*w[0], *w[1]);
            }
            drop((w, cross, sums, gram, rules));
            largest = largest.max(k);
            let held = COUNTS.get().1 - before.1;
            assert!(held > 0 && held as u64 <= RuleScratch::bytes(largest), "{held} bytes for {k} components");
        }
    }
}

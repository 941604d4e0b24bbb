//! Factorizations side by side in wide rows. Each has the bits that it has alone, and no kernel
//! touches values between its rows.

use partwise_kernels::{
    Dead, FactorBuf, FactorMut, FactorRef, Isa, PreparedRule, RuleScratch, UpdateRule, dense, gram, sparse, stride,
};
use proptest::prelude::*;

use crate::shapes::{between, bits, components, factor, gram_matrix, sparse_tile, view, view_mut};
use crate::update::ALL;

/// The value between the rows of a factor. A sum that includes it and a write over it both fail a
/// test.
const OTHERS: f32 = -7.5e30;

/// A factor of k components inside the rows of a wider one.
#[derive(Clone, Debug)]
struct Wide {
    values: FactorBuf,
    rows: usize,
    k: usize,
    /// The first value of the factor in each row.
    first: usize,
    /// Values per row of the wider factor.
    ld: usize,
}

impl Wide {
    /// Puts `factor` (rows × k) between `before` and `after` other values of each row.
    fn around(factor: &[f32], k: usize, (before, after): (usize, usize)) -> Wide {
        let (rows, ld) = (factor.len() / stride(k), before + stride(k) + after);
        let mut wide = Wide { values: FactorBuf::zeros(rows, ld), rows, k, first: before, ld };
        wide.values.fill(OTHERS);
        wide.get_mut().iter_mut().zip(factor.chunks_exact(stride(k))).for_each(|(to, row)| to.copy_from_slice(row));
        wide
    }

    fn get(&self) -> FactorRef<'_> {
        self.values.view(self.rows, self.ld).columns(self.first, self.k)
    }

    fn get_mut(&mut self) -> FactorMut<'_> {
        self.values.view_mut(self.rows, self.ld).columns(self.first, self.k)
    }

    /// Whether the factor has the bits of `alone` and all other values are unchanged.
    fn holds(&self, alone: &[f32]) -> bool {
        let same = self.get().iter().zip(alone.chunks_exact(stride(self.k))).all(|(a, b)| bits(a) == bits(b));
        let own = self.first..self.first + stride(self.k);
        let others = self.values.chunks_exact(self.ld).flat_map(|row| row.iter().enumerate());
        same && others.filter(|(c, _)| !own.contains(c)).all(|(_, &value)| value == OTHERS)
    }
}

/// The number of values before and after the factor in each row.
fn margins() -> impl Strategy<Value = (usize, usize)> {
    (0..=9usize, 0..=9usize).prop_map(|(before, after)| (4 * before, 4 * after))
}

/// A rule, k, Gram matrix, rows and cross products.
type Problem = (UpdateRule, usize, Vec<f32>, FactorBuf, FactorBuf);

fn problem() -> impl Strategy<Value = Problem> {
    (0..=40usize, components(), 0..ALL.len())
        .prop_flat_map(|(n, k, rule)| (Just(ALL[rule]), Just(k), gram_matrix(k), factor(n, k), factor(n, k)))
}

proptest! {
    #[test]
    fn sparse_products_are_those_of_the_factor_alone(
        (tile, k, ht, w, to, from) in (sparse_tile(), components()).prop_flat_map(|(tile, k)| {
            let (h, w) = (factor(tile.m, k), factor(tile.rows, k));
            (Just(tile), Just(k), h, w, margins(), margins())
        })
    ) {
        for isa in Isa::available() {
            let (mut alone, mut wide) = (w.clone(), Wide::around(&w, k, to));
            sparse::xht_with(isa, view_mut(&mut alone, k), tile.runs(), view(&ht, k));
            sparse::xht_with(isa, wide.get_mut(), tile.runs(), Wide::around(&ht, k, from).get());
            prop_assert!(wide.holds(&alone), "xht with {:?}", isa);

            let (mut alone, mut wide) = (ht.clone(), Wide::around(&ht, k, to));
            sparse::wtx_with(isa, view_mut(&mut alone, k), tile.runs(), view(&w, k));
            sparse::wtx_with(isa, wide.get_mut(), tile.runs(), Wide::around(&w, k, from).get());
            prop_assert!(wide.holds(&alone), "wtx with {:?}", isa);
        }
    }

    #[test]
    fn a_panel_has_the_products_of_its_members(
        (tile, ks, ht, w) in (sparse_tile(), prop::collection::vec(1..=30usize, 1..=6)).prop_flat_map(|(tile, ks)| {
            let lanes = ks.iter().map(|&k| stride(k)).sum();
            (Just(tile.clone()), Just(ks), factor(tile.m, lanes), factor(tile.rows, lanes))
        })
    ) {
        let lanes: usize = ks.iter().map(|&k| stride(k)).sum();
        let (mut panel, mut apart) = ((w.clone(), ht.clone()), (w.clone(), ht.clone()));
        sparse::xht(view_mut(&mut panel.0, lanes), tile.runs(), view(&ht, lanes));
        sparse::wtx(view_mut(&mut panel.1, lanes), tile.runs(), view(&w, lanes));
        let mut first = 0;
        for k in ks {
            let (xht, share) = (view_mut(&mut apart.0, lanes), view_mut(&mut apart.1, lanes));
            sparse::xht(xht.columns(first, k), tile.runs(), view(&ht, lanes).columns(first, k));
            sparse::wtx(share.columns(first, k), tile.runs(), view(&w, lanes).columns(first, k));
            first += stride(k);
        }
        prop_assert_eq!(bits(&panel.0), bits(&apart.0));
        prop_assert_eq!(bits(&panel.1), bits(&apart.1));
    }

    #[test]
    fn dense_products_are_those_of_the_factor_alone(
        (x, k, ht, w, to, from) in (0..=40usize, 0..=70usize, components()).prop_flat_map(|(b, m, k)| {
            let x = prop::collection::vec(between(0.0, 100.0), b * m);
            (x, Just(k), factor(m, k), factor(b, k), margins(), margins())
        })
    ) {
        let (mut alone, mut wide) = (w.clone(), Wide::around(&w, k, to));
        dense::xht(view_mut(&mut alone, k), &x, view(&ht, k));
        dense::xht(wide.get_mut(), &x, Wide::around(&ht, k, from).get());
        prop_assert!(wide.holds(&alone), "xht");

        let (mut alone, mut wide) = (ht.clone(), Wide::around(&ht, k, to));
        dense::wtx(view_mut(&mut alone, k), &x, view(&w, k));
        dense::wtx(wide.get_mut(), &x, Wide::around(&w, k, from).get());
        prop_assert!(wide.holds(&alone), "wtx");
    }

    #[test]
    fn gram_matrices_are_those_of_the_factor_alone(
        (k, rows, from) in (0..=140usize, components()).prop_flat_map(|(n, k)| (Just(k), factor(n, k), margins()))
    ) {
        for isa in Isa::available() {
            let (mut alone, mut wide) = (vec![0.5; k * k], vec![0.5; k * k]);
            gram::add_gram_with(isa, &mut alone, view(&rows, k));
            gram::add_gram_with(isa, &mut wide, Wide::around(&rows, k, from).get());
            prop_assert_eq!(&alone, &wide, "with {:?}", isa);
        }
    }

    #[test]
    fn rules_move_the_factor_as_they_do_alone(
        (_, k, gram, rows, cross) in problem(), to in margins(), from in margins()
    ) {
        for rule in ALL {
            for isa in Isa::available() {
                let rule = rule.prepare_with(isa, &gram, k, Dead::Zero);
                let (mut alone, mut wide) = (rows.clone(), Wide::around(&rows, k, to));
                rule.apply(view_mut(&mut alone, k), view(&cross, k), &mut RuleScratch::new());
                rule.apply(wide.get_mut(), Wide::around(&cross, k, from).get(), &mut RuleScratch::new());
                prop_assert!(wide.holds(&alone), "{:?} with {:?}", rule, isa);
            }
        }
    }

    #[test]
    fn rules_side_by_side_share_scratch_and_nothing_else(problems in prop::collection::vec(problem(), 1..=5)) {
        let rules: Vec<PreparedRule> =
            problems.iter().map(|(rule, k, gram, ..)| rule.prepare(gram, *k, Dead::Keep)).collect();
        let mut scratch = RuleScratch::new();
        // Forwards and backwards, so that larger and smaller rules follow each other.
        for (rule, (kind, k, gram, rows, cross)) in rules.iter().zip(&problems).chain(rules.iter().zip(&problems).rev()) {
            let (mut shared, mut alone) = (rows.clone(), rows.clone());
            rule.apply(view_mut(&mut shared, *k), view(cross, *k), &mut scratch);
            let fresh = kind.prepare(gram, *k, Dead::Keep);
            fresh.apply(view_mut(&mut alone, *k), view(cross, *k), &mut RuleScratch::new());
            prop_assert_eq!(bits(&shared), bits(&alone), "{:?}", kind);
        }
    }
}

#[test]
fn rules_go_from_thread_to_thread() {
    fn shared<T: Send + Sync + std::fmt::Debug>() {}
    shared::<PreparedRule>();
    shared::<RuleScratch>();
}

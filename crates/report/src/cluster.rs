//! An order of rows in which like ones are neighbours: that of the leaves of a hierarchical clustering.

use kodama::{Method, linkage};

/// The order of `n` rows, `width` numbers each, by average linkage of their Euclidean distances.
///
/// The two branches of a node may stand in any order; the branch of the smaller mean of `keys` comes first. With
/// the position of the largest number of a row as its key, blocks of a heat map follow its diagonal.
pub(crate) fn order_of_rows(rows: &[f64], width: usize, keys: &[f64]) -> Vec<usize> {
    let n = keys.len();
    let mut distances = Vec::with_capacity(n * n.saturating_sub(1) / 2);
    for a in 0..n {
        for b in a + 1..n {
            let pairs = rows[a * width..][..width].iter().zip(&rows[b * width..][..width]);
            distances.push(pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt());
        }
    }
    order(distances, keys)
}

/// The order of `n` things by average linkage of 1 − `similarity`, n × n, symmetric.
pub(crate) fn order_by_similarity(similarity: &[f64], n: usize) -> Vec<usize> {
    let pairs = (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b)));
    let distances = pairs.map(|(a, b)| 1.0 - similarity[a * n + b]).collect();
    order_by_distance(distances, n)
}

/// The order of `n` things by average linkage of their `distances`, those of (0, 1), (0, 2), …, (1, 2), ….
pub(crate) fn order_by_distance(distances: Vec<f64>, n: usize) -> Vec<usize> {
    order(distances, &(0..n).map(|i| i as f64).collect::<Vec<f64>>())
}

/// The order for `distances`, those of (0, 1), (0, 2), …, (1, 2), ….
fn order(mut distances: Vec<f64>, keys: &[f64]) -> Vec<usize> {
    let n = keys.len();
    if n < 2 {
        return (0..n).collect();
    }
    distances.iter_mut().filter(|distance| !distance.is_finite()).for_each(|distance| *distance = 1.0);
    let tree = linkage(&mut distances, n, Method::Average);
    // Branches of each node, and the sum and the count of the keys below; the first n nodes are leaves.
    let mut below: Vec<(f64, f64)> = keys.iter().map(|&key| (key, 1.0)).collect();
    let mut branches = Vec::with_capacity(n - 1);
    for step in tree.steps() {
        let (a, b) = (below[step.cluster1], below[step.cluster2]);
        let swap = b.0 / b.1 < a.0 / a.1;
        branches.push(if swap { [step.cluster2, step.cluster1] } else { [step.cluster1, step.cluster2] });
        below.push((a.0 + b.0, a.1 + b.1));
    }
    let (mut order, mut next) = (Vec::with_capacity(n), vec![below.len() - 1]);
    while let Some(node) = next.pop() {
        match node.checked_sub(n) {
            None => order.push(node),
            Some(inner) => next.extend(branches[inner].iter().rev()),
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_rows_become_neighbours_in_the_order_of_their_keys() {
        // Two groups, mixed; those near 5 have smaller keys.
        let rows = [0.0, 5.0, 0.1, 5.1, 0.2, 5.2];
        let order = order_of_rows(&rows, 1, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert!(order[..3].iter().all(|row| row % 2 == 1) && order[3..].iter().all(|row| row % 2 == 0), "{order:?}");
        let mut sorted = order;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn few_rows_and_undefined_similarities_have_an_order() {
        assert_eq!(order_of_rows(&[], 3, &[]), Vec::<usize>::new());
        assert_eq!(order_of_rows(&[1.0], 1, &[0.0]), [0]);
        assert_eq!(order_by_similarity(&[1.0, f64::NAN, f64::NAN, 1.0], 2), [0, 1]);
        assert_eq!(order_by_similarity(&[1.0, 0.0, 0.9, 0.0, 1.0, 0.1, 0.9, 0.1, 1.0], 3), [1, 0, 2]);
    }
}

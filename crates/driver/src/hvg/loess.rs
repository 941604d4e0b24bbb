//! Local regression of values y on x, loess: at each place a parabola is fitted to the nearest points, near ones
//! with more weight (Cleveland and Devlin, *JASA* 83, 1988), and the curve is the parabolas' values there.
//!
//! With the span f, the q = ⌊f·n⌋ points nearest to a place v count, as far as h, the distance of the farthest of
//! them, with the weights
//!
//! ```text
//! w_i = (1 − (|x_i − v| / h)³)³
//! ```
//!
//! and the parabola b₀ + b₁(x − v) + b₂(x − v)² minimizes Σ w_i (y_i − parabola)². The curve has the value b₀ and
//! the slope b₁ at v.
//!
//! That is done at some places only, the **vertices**; between two neighbours the curve is the cubic polynomial that
//! has their values and slopes (Cleveland and Grosse, *Statistics and Computing* 1, 1991). The vertices are the ends
//! of the data, moved out a little, and the cuts of a k-d tree, whose cells are cut at their median until they have
//! at most ⌊0.2·f·n⌋ points. Which vertices there are shows in the curve, so they are those of the authors' program
//! `dloess`, which R's `loess` and `skmisc.loess` are made of: equal values stay on one side of a cut, and the cut is
//! the largest value below it.
//!
//! If points with a weight lie at fewer than three places, no parabola is the best, and there is no curve. `dloess`
//! takes the coefficients of least norm instead, and warns: beyond the first point these can be a third of the value.

/// A parabola is determined if its least singular value is above this part of the largest: as in `dloess`, a hundred
/// roundings.
const RANK: f64 = 100.0 * f64::EPSILON;
/// The part of a span that a cell of the tree has at most.
const CELL: f64 = 0.2;
/// The part of the range that the first and the last vertex lie beyond the data.
const BEYOND: f64 = 0.005;
/// Coefficients of a parabola.
pub(super) const COEFFICIENTS: usize = 3;

/// No curve exists: the points that count at a place lie at too few places to determine a parabola.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Undetermined {
    /// The place.
    pub(super) at: f64,
}

/// How many points count at a place.
pub(super) fn nearest(points: usize, span: f64) -> usize {
    // The authors' allowance for a product that falls below a whole number.
    points.min((points as f64 * span + 1e-5).floor() as usize)
}

/// The curve at every x. `O(n log n + vertices · n · span)`.
///
/// # Errors
///
/// [`Undetermined`]: near a vertex, so many points have the same few x that no parabola is the best.
///
/// # Panics
///
/// When `x` and `y` have other lengths, or fewer than [`COEFFICIENTS`] points count at a place.
pub(super) fn loess(x: &[f64], y: &[f64], span: f64) -> Result<Vec<f64>, Undetermined> {
    assert_eq!(x.len(), y.len(), "every x has a y");
    let count = nearest(x.len(), span);
    assert!(count >= COEFFICIENTS, "a parabola needs three points");
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]).then(a.cmp(&b)));
    let sorted = Points {
        x: order.iter().map(|&point| x[point]).collect(),
        y: order.iter().map(|&point| y[point]).collect(),
        count,
    };
    let places = vertices(&sorted.x, (x.len() as f64 * (span * CELL)).floor() as usize);
    let at_places: Result<Vec<[f64; 2]>, Undetermined> = places.iter().map(|&place| sorted.local(place)).collect();
    let at_places = at_places?;
    let curve = |&x: &f64| {
        let right = places.partition_point(|&place| place < x).clamp(1, places.len() - 1);
        let between = [right - 1, right];
        cubic(x, between.map(|vertex| places[vertex]), between.map(|vertex| at_places[vertex]))
    };
    Ok(x.iter().map(curve).collect())
}

/// Points in the order of x.
struct Points {
    x: Vec<f64>,
    y: Vec<f64>,
    /// How many count at a place.
    count: usize,
}

impl Points {
    /// Value and slope of the parabola at `place`.
    fn local(&self, place: f64) -> Result<[f64; 2], Undetermined> {
        let distance = |point: usize| (self.x[point] - place).abs();
        // The nearest points are neighbours: of the point before them and the last of them, the nearer one stays.
        let mut first = self.x.partition_point(|&x| x < place).saturating_sub(self.count);
        while first + self.count < self.x.len() && distance(first + self.count) < distance(first) {
            first += 1;
        }
        let points = first..first + self.count;
        let width = distance(points.start).max(distance(points.end - 1));
        let root_weight = |point: usize| {
            let near = 1.0 - (distance(point) / width).powi(3);
            (near * near * near).sqrt()
        };
        // All are at one place: none has a weight.
        let roots: Vec<f64> = points.clone().map(|point| if width > 0.0 { root_weight(point) } else { 0.0 }).collect();
        let mut design: [Vec<f64>; COEFFICIENTS] = std::array::from_fn(|power| {
            let column = points.clone().zip(&roots);
            column.map(|(point, root)| root * (self.x[point] - place).powi(power as i32)).collect()
        });
        let y: Vec<f64> = points.zip(&roots).map(|(point, root)| root * self.y[point]).collect();
        let [value, slope, _] = least_squares(&mut design, &y).ok_or(Undetermined { at: place })?;
        Ok([value, slope])
    }
}

/// The vertices in order, for sorted values: see above. A cell of more than `most` values is cut.
fn vertices(x: &[f64], most: usize) -> Vec<f64> {
    let [low, high] = [x[0], x[x.len() - 1]];
    let beyond = BEYOND * (high - low).max(1e-10 * low.abs().max(high.abs()) + 1e-30);
    let mut found = vec![low - beyond, high + beyond];
    let mut cells = vec![(0..x.len(), found[0], found[1])];
    while let Some((points, left, right)) = cells.pop() {
        if points.len() <= most || points.is_empty() {
            continue;
        }
        let (first, last) = (points.start, points.end - 1);
        let middle = (first + last) / 2;
        // The change of values nearest to the middle, the later one of two; the middle itself where the search
        // meets an end of the cell first.
        let nearby = (0..points.len()).flat_map(|away| [middle.checked_add(away), middle.checked_sub(away)]);
        let mut within = nearby.map_while(|point| point.filter(|point| (first..last).contains(point)));
        let cut = within.find(|&point| x[point] != x[point + 1]).unwrap_or(middle);
        if x[cut] <= left || x[cut] >= right {
            continue;
        }
        found.push(x[cut]);
        cells.push((first..cut + 1, left, x[cut]));
        cells.push((cut + 1..points.end, x[cut], right));
    }
    found.sort_by(f64::total_cmp);
    found
}

/// The cubic polynomial with the values and slopes `of` both `ends`, at `x`.
fn cubic(x: f64, ends: [f64; 2], [left, right]: [[f64; 2]; 2]) -> f64 {
    let length = ends[1] - ends[0];
    let part = (x - ends[0]) / length;
    let rest = 1.0 - part;
    rest * rest * (1.0 + 2.0 * part) * left[0]
        + part * part * (1.0 + 2.0 * rest) * right[0]
        + length * part * rest * (rest * left[1] - part * right[1])
}

/// The b of least ‖D·b − y‖, for a design D of which it destroys the content; `None` if several are.
///
/// Columns are scaled to norm 1. Then rotations of pairs of columns make them orthogonal (Hestenes), so that their
/// norms are the singular values.
fn least_squares(design: &mut [Vec<f64>; COEFFICIENTS], y: &[f64]) -> Option<[f64; COEFFICIENTS]> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = std::array::from_fn::<f64, COEFFICIENTS, _>(|c| {
        let norm = dot(&design[c], &design[c]).sqrt();
        if norm > 0.0 { norm } else { 1.0 }
    });
    design.iter_mut().zip(norms).for_each(|(column, norm)| column.iter_mut().for_each(|value| *value /= norm));
    // Column c is the rotation that made column c of the design.
    let mut rotations = [[0.0; COEFFICIENTS]; COEFFICIENTS];
    (0..COEFFICIENTS).for_each(|c| rotations[c][c] = 1.0);
    for _ in 0..SWEEPS {
        let mut is_orthogonal = true;
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            let (of_a, of_b) = (dot(&design[a], &design[a]), dot(&design[b], &design[b]));
            let both = dot(&design[a], &design[b]);
            if both.abs() <= f64::EPSILON * (of_a * of_b).sqrt() {
                continue;
            }
            is_orthogonal = false;
            let cotangent = (of_b - of_a) / (2.0 * both);
            let tangent = cotangent.signum() / (cotangent.abs() + cotangent.hypot(1.0));
            let cosine = 1.0 / tangent.hypot(1.0);
            let sine = cosine * tangent;
            let turn = |left: &mut [f64], right: &mut [f64]| {
                for (left, right) in left.iter_mut().zip(right) {
                    (*left, *right) = (cosine * *left - sine * *right, sine * *left + cosine * *right);
                }
            };
            if let [column_a, .., column_b] = &mut design[a..=b] {
                turn(column_a, column_b);
            }
            if let [column_a, .., column_b] = &mut rotations[a..=b] {
                turn(column_a, column_b);
            }
        }
        if is_orthogonal {
            break;
        }
    }
    let squares = std::array::from_fn::<f64, COEFFICIENTS, _>(|c| dot(&design[c], &design[c]));
    let [least, most] = [f64::min, f64::max].map(|of| squares.into_iter().reduce(of).unwrap_or(0.0).sqrt());
    if least <= RANK * most {
        return None;
    }
    let mut found = [0.0; COEFFICIENTS];
    for (c, square) in squares.into_iter().enumerate() {
        let along = dot(&design[c], y) / square;
        found.iter_mut().zip(rotations[c]).for_each(|(found, rotation)| *found += along * rotation);
    }
    found.iter_mut().zip(norms).for_each(|(found, norm)| *found /= norm);
    Some(found)
}

/// Sweeps of rotations at most. They converge quadratically; three columns take about five.
const SWEEPS: usize = 30;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The curve by its definition: the parabola at every x, from normal equations solved by Cramer's rule.
    fn direct(x: &[f64], y: &[f64], span: f64) -> Vec<f64> {
        let at = |&place: &f64| {
            let mut distances: Vec<f64> = x.iter().map(|x| (x - place).abs()).collect();
            distances.sort_by(f64::total_cmp);
            let width = distances[nearest(x.len(), span) - 1];
            let (mut sums, mut right) = ([0.0; 5], [0.0; 3]);
            for (x, y) in x.iter().zip(y) {
                let part = (x - place) / width;
                let weight = if part.abs() < 1.0 { (1.0 - part.abs().powi(3)).powi(3) } else { 0.0 };
                (0..5).for_each(|power| sums[power] += weight * part.powi(power as i32));
                (0..3).for_each(|power| right[power] += weight * part.powi(power as i32) * y);
            }
            let of = |column: [f64; 3]| {
                let [_, b, c, d, e] = sums;
                column[0] * (c * e - d * d) - column[1] * (b * e - c * d) + column[2] * (b * d - c * c)
            };
            of(right) / of([sums[0], sums[1], sums[2]])
        };
        x.iter().map(at).collect()
    }

    /// Ragged places, some of them equal, and values of a smooth curve with noise.
    fn points() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        prop::collection::vec((0u32..400, -1.0..1.0f64), 60..400).prop_map(|points| {
            let x: Vec<f64> = points.iter().map(|&(place, _)| f64::from(place).sqrt() / 5.0 - 2.0).collect();
            let y = x.iter().zip(&points).map(|(x, (_, noise))| x.sin() + 0.1 * x * x + 0.05 * noise).collect();
            (x, y)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn the_curve_is_near_the_parabolas_of_all_points((x, y) in points()) {
            let (found, want) = (loess(&x, &y, 0.3).unwrap(), direct(&x, &y, 0.3));
            for (found, want) in found.iter().zip(&want) {
                // Cubic polynomials between vertices are not the parabolas, but nearer to them than the noise. Of 3,000
                // such cases, the farthest is 0.021 away.
                prop_assert!((found - want).abs() < 0.05, "{found} is not {want}");
            }
        }

        #[test]
        fn at_a_vertex_it_is_the_parabola((x, y) in points()) {
            let (found, want) = (loess(&x, &y, 0.3).unwrap(), direct(&x, &y, 0.3));
            let mut sorted = x.clone();
            sorted.sort_by(f64::total_cmp);
            let places = vertices(&sorted, (x.len() as f64 * (0.3 * CELL)).floor() as usize);
            let at_places = (0..x.len()).filter(|&point| places.contains(&x[point]));
            for point in at_places {
                prop_assert!((found[point] - want[point]).abs() < 1e-11, "{} is not {}", found[point], want[point]);
            }
            prop_assert!(places.len() > 10);
        }

        #[test]
        fn the_order_of_points_does_not_matter((x, y) in points()) {
            // A permutation that keeps points of equal x in their order.
            let mut order: Vec<usize> = (0..x.len()).collect();
            order.sort_by(|&a, &b| x[b].total_cmp(&x[a]));
            let permuted = |of: &[f64]| order.iter().map(|&point| of[point]).collect::<Vec<_>>();
            let found = loess(&permuted(&x), &permuted(&y), 0.3).unwrap();
            prop_assert_eq!(found, permuted(&loess(&x, &y, 0.3).unwrap()));
        }
    }

    #[test]
    fn a_parabola_is_its_own_curve() {
        let x: Vec<f64> = (0..50).map(|point| f64::from(point * point) / 300.0).collect();
        let parabola = |x: f64| 2.0 - 3.0 * x + 0.5 * x * x;
        let y: Vec<f64> = x.iter().map(|&x| parabola(x)).collect();
        for (x, found) in x.iter().zip(loess(&x, &y, 0.3).unwrap()) {
            assert!((found - parabola(*x)).abs() < 1e-10, "{found} at {x}");
        }
    }

    #[test]
    fn vertices_are_cuts_at_values_and_equal_values_stay_together() {
        let x: Vec<f64> = (0..10).map(f64::from).collect();
        let beyond = 0.005 * 9.0;
        assert_eq!(vertices(&x, 3), [-beyond, 2.0, 4.0, 7.0, 9.0 + beyond]);
        // The middle is inside the ones: the change after them is as near as the one before, and comes first.
        let x = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0];
        assert_eq!(vertices(&x, 4), [-0.01, 0.0, 1.0, 2.01]);
        // Values that are all equal are cut there, once.
        assert_eq!(vertices(&[7.0; 6], 2)[1], 7.0);
        assert_eq!(vertices(&[7.0; 6], 2).len(), 3);
    }

    #[test]
    fn fewer_than_three_places_have_no_curve() {
        let x: Vec<f64> = (0..40).map(|point| f64::from(point % 2)).collect();
        assert!(loess(&x, &x, 0.8).is_err());
        // A third of the points at one place: at the first vertex none of them has a weight.
        let mut x = vec![1.0; 30];
        x.extend([2.0, 3.0, 4.0, 5.0]);
        assert_eq!(loess(&x, &[0.0; 34], 0.3), Err(Undetermined { at: 1.0 - 0.02 }));
        // Two places at the first vertex, and many elsewhere.
        let mut x = vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5];
        x.extend((0..18).map(|point| 2.0 + f64::from(point)));
        assert!(loess(&x, &[0.0; 30], 0.3).is_err());
    }

    #[test]
    fn least_squares_are_those_of_columns_of_any_size() {
        let mut columns = [vec![1.0; 4], vec![1e6, 2e6, 3e6, 5e6], vec![1e-9, 8e-9, 2e-9, 3e-9]];
        let y: Vec<f64> = (0..4).map(|row| 3.0 - 2.0 * columns[1][row] / 1e6 + 7e9 * columns[2][row]).collect();
        let b = least_squares(&mut columns, &y).unwrap();
        assert!(
            (b[0] - 3.0).abs() < 1e-12 && (b[1] * 1e6 + 2.0).abs() < 1e-12 && (b[2] / 7e9 - 1.0).abs() < 1e-12,
            "{b:?}"
        );
        let mut dependent = [vec![1.0; 4], vec![1.0, 2.0, 3.0, 5.0], vec![2.0, 4.0, 6.0, 10.0]];
        assert_eq!(least_squares(&mut dependent, &y), None);
    }
}

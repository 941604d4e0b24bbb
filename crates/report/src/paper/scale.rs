//! Numbers along an axis: where they lie, and which ones are written.

/// An interval of numbers, linear or logarithmic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// The interval of `values`, a little wider; with 0 if it starts from there.
    pub(super) fn of(values: impl Iterator<Item = f64>, logarithmic: bool, from_zero: bool) -> Scale {
        let inside = |value: &f64| value.is_finite() && (!logarithmic || *value > 0.0);
        let value = |value: f64| if logarithmic { value.log10() } else { value };
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(inside).map(value) {
            (from, to) = (from.min(value), to.max(value));
        }
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        let zero = from_zero && !logarithmic;
        if zero {
            (from, to) = (from.min(0.0), to.max(0.0));
        }
        let room = if to > from { 0.05 * (to - from) } else { 0.5 * from.abs().max(1.0) };
        let (below, above) = (!(zero && from == 0.0), !(zero && to == 0.0));
        if below {
            from -= room;
        }
        if above {
            to += room;
        }
        Scale { from, to, logarithmic }
    }

    /// The interval from `from` to `to`.
    pub(super) fn between(from: f64, to: f64) -> Scale {
        Scale { from, to: if to > from { to } else { from + 1.0 }, logarithmic: false }
    }

    /// The part of the axis before `value`.
    pub(super) fn part(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.log10() } else { value };
        (value - self.from) / (self.to - self.from)
    }

    /// About `count` numbers at round places, with their texts; whole ones only if wanted.
    pub(super) fn ticks(&self, count: usize, whole: bool) -> Vec<(f64, String)> {
        let decades = self.to - self.from;
        if self.logarithmic && decades > 1.0 {
            let step = (decades / count as f64).ceil().max(1.0);
            let (first, last) = ((self.from / step).ceil() as i64, (self.to / step).floor() as i64);
            return (first..=last).map(|at| at as f64 * step).map(|at| (10_f64.powf(at), power(at as i64))).collect();
        }
        let (from, to) =
            if self.logarithmic { (10_f64.powf(self.from), 10_f64.powf(self.to)) } else { (self.from, self.to) };
        let rough = (to - from) / count as f64;
        let unit = 10_f64.powf(rough.log10().floor());
        let steps = [0.5, 1.0, 2.0, 5.0, 10.0].map(|of| of * unit);
        let at = steps.iter().position(|step| *step >= rough).unwrap_or(steps.len() - 1);
        let inside = |step: f64| (from / step - 1e-9).ceil() as i64..=(to / step + 1e-9).floor() as i64;
        // An axis is hard to read by one or two numbers.
        let is_bare = inside(steps[at]).count() < 3;
        let step = steps[if is_bare { at.saturating_sub(1) } else { at }];
        let step = if whole { step.max(1.0) } else { step };
        inside(step).map(|at| (at as f64 * step, number(at as f64 * step, step))).collect()
    }
}

/// A number as axes show it, to the digits of `step`.
fn number(value: f64, step: f64) -> String {
    let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
    let text = match value.abs() {
        // 0.0002 is better read as 2e-4, and 0.37452 as it is.
        small if small > 0.0 && small < 1e-3 && step >= 0.1 * small => format!("{:e}", rounded(value)),
        large if large >= 1e6 => format!("{value:e}"),
        _ => format!("{value:.decimals$}"),
    };
    text.replace('-', "−")
}

/// The number with two digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// 10 to the power `exponent`.
fn power(exponent: i64) -> String {
    match exponent {
        -3..=5 => number(10_f64.powi(exponent as i32), 10_f64.powi(exponent.min(0) as i32)),
        _ => format!("1e{exponent}").replace('-', "−"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale, whole: bool) -> Vec<String> {
        scale.ticks(5, whole).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(texts(Scale::between(0.0, 1.0), false), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(Scale::between(-1.0, 1.0), false), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(Scale::between(1.0, 4.0), true), ["1", "2", "3", "4"]);
        assert_eq!(texts(Scale::of([0.374, 0.432].into_iter(), false, false), false), ["0.38", "0.40", "0.42"]);
        let between = Scale::between(0.9199, 0.9297);
        assert_eq!(
            between.ticks(4, false).into_iter().map(|(_, text)| text).collect::<Vec<_>>(),
            ["0.920", "0.922", "0.924", "0.926", "0.928"]
        );
        let near = Scale::of([0.374_52, 0.374_61].into_iter(), false, false);
        assert_eq!(texts(near, false), ["0.37452", "0.37454", "0.37456", "0.37458", "0.37460"]);
        assert_eq!(texts(Scale::between(0.0, 4e-4), false), ["0.0000", "1e−4", "2e−4", "3e−4", "4e−4"]);
        assert_eq!(texts(Scale::of([0.001, 10.0].into_iter(), true, true), false), ["0.001", "0.01", "0.1", "1", "10"]);
        for (scale, value) in [(Scale::between(3.0, 3.0), 3.0), (Scale::of([f64::NAN].into_iter(), false, true), 0.0)] {
            assert!(scale.part(value).is_finite());
        }
        let alone = Scale::of([0.25].into_iter(), false, true);
        assert_eq!(alone.part(0.0), 0.0);
        assert!((0.9..1.0).contains(&alone.part(0.25)));
    }
}

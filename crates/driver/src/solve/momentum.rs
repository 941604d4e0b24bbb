//! The weight of the extrapolation of H.
//!
//! Nesterov's sequence t₊ = (1 + √(1 + 4t²)) / 2, β = (t − 1) / t₊ (Nesterov 1983; for alternating
//! NMF: Guan et al. 2012, Ang and Gillis 2019), restarted whenever a pass is rejected (O'Donoghue
//! and Candès 2015).

/// The weight β of the next extrapolation.
#[derive(Debug, Clone)]
pub(crate) struct Momentum {
    on: bool,
    t: f64,
}

impl Momentum {
    pub(crate) fn new(on: bool) -> Self {
        Momentum { on, t: 1.0 }
    }

    /// Continues where another one [was](Self::t).
    pub(crate) fn at(on: bool, t: f64) -> Self {
        Momentum { on, t }
    }

    /// Where in the sequence it is.
    pub(crate) fn t(&self) -> f64 {
        self.t
    }

    /// β for the coming pass.
    pub(crate) fn weight(&self) -> f64 {
        if self.on { (self.t - 1.0) / next(self.t) } else { 0.0 }
    }

    /// The pass is over.
    pub(crate) fn after(&mut self, accepted: bool) {
        self.t = if accepted { next(self.t) } else { 1.0 };
    }
}

fn next(t: f64) -> f64 {
    f64::midpoint(1.0, (1.0 + 4.0 * t * t).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_towards_one_and_starts_anew() {
        let mut momentum = Momentum::new(true);
        let weights: Vec<f64> = (0..20)
            .map(|_| {
                let weight = momentum.weight();
                momentum.after(true);
                weight
            })
            .collect();
        assert_eq!(weights[0], 0.0);
        assert!(weights.windows(2).all(|w| w[0] < w[1]) && weights[19] < 1.0);
        momentum.after(false);
        assert_eq!(momentum.weight(), 0.0);
    }

    #[test]
    fn off_is_off() {
        let mut momentum = Momentum::new(false);
        momentum.after(true);
        momentum.after(true);
        assert_eq!(momentum.weight(), 0.0);
    }
}

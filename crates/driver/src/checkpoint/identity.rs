//! Which fit a checkpoint is of: everything that shapes the passes that it has behind it.
//!
//! What does not shape them – threads, memory, processes, the place of W, when to stop – may change when a fit goes on.

use std::collections::BTreeMap;

use partwise_kernels::UpdateRule;
use partwise_storage::store::{Layout, Store};
use serde::{Deserialize, Serialize};

use crate::config::ScaleSpec;
use crate::plan::{Init, Plan};

/// Names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(BTreeMap<String, String>);

impl Identity {
    /// Of the fit of `store` by `plan`, on a CPU of the kind `cpu`, which matters where products are dense.
    pub(crate) fn new(store: &Store, plan: &Plan, cpu: &str) -> Self {
        let mut all: Vec<(&str, String)> = vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("data", store.fingerprint()),
            ("cells", store.cells().to_string()),
            ("genes", store.genes().to_string()),
            ("k", plan.k.to_string()),
            ("update of W", rule(plan.rules.usages)),
            ("update of H", rule(plan.rules.spectra)),
            ("extrapolation", if plan.rules.extrapolate { "yes" } else { "no" }.into()),
            ("scale", if plan.scale == ScaleSpec::None { "none" } else { "std" }.into()),
            ("init", init(&plan.init)),
            ("seed", plan.seed.to_string()),
        ];
        if store.layout() == Layout::Dense {
            all.push(("CPU", cpu.into()));
        }
        Identity(all.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// What differs from `wanted`, the fit that is to go on: what a checkpoint is of, and what the fit has.
    pub(crate) fn differences(&self, wanted: &Identity) -> Vec<String> {
        let names = self.0.keys().chain(wanted.0.keys().filter(|name| !self.0.contains_key(*name)));
        let value = |of: &Identity, name: &str| of.0.get(name).map_or_else(|| "unknown".into(), Clone::clone);
        names
            .map(|name| (name, value(self, name), value(wanted, name)))
            .filter(|(_, had, want)| had != want)
            .map(|(name, had, want)| format!("of {name} = {had}, this fit has {name} = {want}"))
            .collect()
    }
}

fn rule(rule: UpdateRule) -> String {
    match rule {
        UpdateRule::Mu => "multiplicative".into(),
        UpdateRule::Bpp => "block principal pivoting".into(),
        UpdateRule::Hals { sweeps: 1 } => "HALS, 1 sweep".into(),
        UpdateRule::Hals { sweeps } => format!("HALS, {sweeps} sweeps"),
    }
}

fn init(init: &Init) -> String {
    match init {
        Init::Random => "random".into(),
        Init::Sample { entries, rows } => format!("sample of at most {rows} rows and {entries} entries"),
        Init::Given(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Identity {
        Identity(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn what_differs_is_named() {
        let (had, want) = (of(&[("k", "8"), ("seed", "0")]), of(&[("k", "9"), ("seed", "0"), ("CPU", "a")]));
        assert!(had.differences(&had).is_empty());
        assert_eq!(had.differences(&want), ["of k = 8, this fit has k = 9", "of CPU = unknown, this fit has CPU = a"]);
    }
}

//! Which run a checkpoint is of: everything that shapes the passes made so far.
//!
//! The settings of a fit are those of [`Model::settings`]. Threads, memory, processes, the place of W
//! and the limits of the fit do not shape them, and may change when a fit resumes.

use std::collections::BTreeMap;

use partwise_storage::store::Layout;
use serde::{Deserialize, Serialize};

use crate::blocks::FitData;
use crate::model::Model;

/// Names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Identity(BTreeMap<String, String>);

/// The name under which an identity has the kind of its run. Fits have none.
const KIND: &str = "kind";

impl Identity {
    /// The identity of the fit `model` of `data`. `start` identifies the content of an earlier
    /// result to start from, and `cpu` is the kind of CPU, which matters for dense products.
    pub(crate) fn of_fit(data: &dyn FitData, model: &Model, start: Option<&str>, cpu: &str) -> Self {
        let settings = model.settings().into_iter().map(|(name, value)| (name, value.to_string()));
        Self::of(data, settings.chain(start.map(|digest| ("start", digest.to_owned()))), cpu)
    }

    /// The identity of a run of another kind, such as `principal components`, with these settings.
    pub(crate) fn of_kind(
        kind: &str,
        data: &dyn FitData,
        settings: impl Iterator<Item = (&'static str, String)>,
        cpu: &str,
    ) -> Self {
        Self::of(data, settings.chain([(KIND, kind.to_owned())]), cpu)
    }

    fn of(data: &dyn FitData, settings: impl Iterator<Item = (&'static str, String)>, cpu: &str) -> Self {
        let blocks = data.blocks();
        let mut all: Vec<(&str, String)> = vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("data", data.fingerprint()),
            ("cells", blocks.cells().to_string()),
            ("genes", blocks.genes().to_string()),
        ];
        all.extend(settings);
        if blocks.layout() == Layout::Dense {
            all.push(("CPU", cpu.into()));
        }
        Identity(all.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    fn kind(&self) -> &str {
        self.0.get(KIND).map_or("a factorization", String::as_str)
    }

    /// The differences to `wanted`, the run that resumes: the value of the checkpoint and that of
    /// the run. Of another kind of run, that is all there is to say.
    pub(crate) fn differences(&self, wanted: &Identity) -> Vec<String> {
        if self.kind() != wanted.kind() {
            return vec![format!("of {}, and this run computes {}", self.kind(), wanted.kind())];
        }
        let this = if wanted.0.contains_key(KIND) { "this run" } else { "this fit" };
        let names = self.0.keys().chain(wanted.0.keys().filter(|name| !self.0.contains_key(*name)));
        let value = |of: &Identity, name: &str| of.0.get(name).map_or_else(|| "unknown".into(), Clone::clone);
        names
            .map(|name| (name, value(self, name), value(wanted, name)))
            .filter(|(_, had, want)| had != want)
            .map(|(name, had, want)| format!("of {name} = {had}, {this} has {name} = {want}"))
            .collect()
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

    #[test]
    fn another_kind_is_all_that_is_named() {
        let (fit, pca) = (of(&[("k", "8")]), of(&[("components", "8"), (KIND, "principal components")]));
        assert_eq!(pca.differences(&fit), ["of principal components, and this run computes a factorization"]);
        assert_eq!(fit.differences(&pca), ["of a factorization, and this run computes principal components"]);
        let other = of(&[("components", "9"), (KIND, "principal components")]);
        assert_eq!(pca.differences(&other), ["of components = 8, this run has components = 9"]);
    }
}

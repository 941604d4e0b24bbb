//! The solvers of a pass, side by side: their panels, sums and workers.

use std::time::Instant;

use partwise_kernels::{FactorBuf, FactorRef, stride};
use rayon::prelude::*;
use tracing::info_span;

use super::{PassFacts, Prepared, Solver};
use crate::blocks::Blocks;
use crate::compute::factorize::{Factorize, Local, Member, Panel, PanelShape, PanelSums};
use crate::engine::{Engine, Worker};
use crate::error::DriverError;
use crate::spectra::GENE_CHUNK;

/// Some solvers of one matrix that share passes; rebuilt when one of them leaves.
pub(crate) struct Assembly {
    /// Which of the list, in the order of the panels.
    solvers: Vec<usize>,
    panels: Vec<Built>,
    workers: Vec<Worker<Local>>,
}

/// A panel and its buffers.
struct Built {
    shape: PanelShape,
    sums: PanelSums,
    /// D·Hᵀ of all members (m × ld), if it is not simply H of the only one.
    ht: Option<FactorBuf>,
}

impl Assembly {
    /// Of the solvers `active` among `solvers`, which all factorize `data`, on `threads` workers.
    pub(crate) fn new(data: &dyn Blocks, solvers: &[Solver<'_>], active: &[usize], threads: usize) -> Self {
        let ks: Vec<usize> = active.iter().map(|&i| solvers[i].k()).collect();
        let shapes = PanelShape::cut(&ks, data.layout());
        let _span = info_span!("buffers of a pass").entered();
        let scaled = active.iter().any(|&i| solvers[i].scale.factors().is_some());
        let threads = threads.min(data.blocks()).max(1);
        Assembly {
            solvers: active.to_vec(),
            workers: (0..threads).map(|_| Worker::new(Local::new(data, &shapes))).collect(),
            panels: shapes
                .into_iter()
                .map(|shape| Built {
                    sums: PanelSums::new(data.genes(), &shape),
                    ht: (scaled || shape.members.len() > 1).then(|| FactorBuf::zeros(data.genes(), shape.ld)),
                    shape,
                })
                .collect(),
        }
    }

    /// The places of its solvers in the list.
    pub(crate) fn solvers(&self) -> &[usize] {
        &self.solvers
    }

    /// One pass over the data for all of them, shown as `stage`. A pass that fails before its end changes no
    /// solver.
    pub(crate) fn pass(
        &mut self,
        stage: &str,
        engine: &Engine<'_>,
        data: &dyn Blocks,
        solvers: &mut [Solver<'_>],
    ) -> Result<(), DriverError> {
        let _span = info_span!("pass").entered();
        let began = Instant::now();
        let prepared: Vec<Prepared> = self.solvers.iter().map(|&i| solvers[i].prepare()).collect();
        let first = &solvers[self.solvers[0]];
        let (sq_norm, direction) = (first.sq_norm, first.standing.direction);

        let mut next = self.solvers.iter().zip(&prepared);
        let mut panels = Vec::with_capacity(self.panels.len());
        for Built { shape, sums, ht } in &mut self.panels {
            info_span!("reset of the sums").in_scope(|| sums.reset(data.gene_sq_norms(), sq_norm));
            let of_panel: Vec<_> = next.by_ref().take(shape.members.len()).collect();
            let ht = match ht {
                None => solvers[*of_panel[0].0].trial.view(),
                Some(ht) => {
                    for (&(first, _), of) in shape.members.iter().zip(&of_panel) {
                        copy_spectra(ht, shape.ld, first, &solvers[*of.0]);
                    }
                    FactorRef::new(ht, data.genes(), shape.k(), shape.ld)
                }
            };
            let members = shape.members.iter().zip(of_panel).map(|(&(first, k), (&i, prepared))| {
                let usages = &solvers[i].usages;
                let rescale = usages.rescaled(&prepared.rescale);
                Member { first, k, usages, rescale, rule: &prepared.rule, sq_norms: &prepared.sq_norms }
            });
            panels.push(Panel { ht, members: members.collect(), sums });
        }
        let fold = Factorize { data, panels };
        engine.announce(stage, data);
        let spent = engine.pass(data, &fold, &mut self.workers, direction)?;
        engine.monitor().finish();

        let facts = PassFacts {
            bytes: (0..data.blocks()).map(|block| data.block(block).bytes as u64).sum(),
            seconds: began.elapsed().as_secs_f64(),
            spent,
        };
        let places = self.panels.iter().flat_map(|Built { shape, sums, .. }| {
            shape.members.iter().zip(&sums.members).map(move |(&(first, _), own)| (sums, first, own))
        });
        for ((&i, prepared), place) in self.solvers.iter().zip(&prepared).zip(places) {
            solvers[i].absorb(prepared, place, &facts)?;
        }
        // With the updates of H, which all fits of the pass wait for.
        let seconds = began.elapsed().as_secs_f64();
        for &i in &self.solvers {
            solvers[i].trace.last_mut().into_iter().for_each(|row| row.seconds = seconds);
        }
        Ok(())
    }
}

/// Writes D·Hᵀ of a solver's trial into its columns of a panel.
fn copy_spectra(panel: &mut [f32], ld: usize, first: usize, solver: &Solver<'_>) {
    let (ks, factors) = (stride(solver.k()), solver.scale.factors());
    let _span = info_span!("copy of H", tasks = solver.trial.genes().div_ceil(GENE_CHUNK)).entered();
    let genes = solver.trial.ht().par_chunks(GENE_CHUNK * ks);
    panel.par_chunks_mut(GENE_CHUNK * ld).zip(genes).enumerate().for_each(|(chunk, (panel, ht))| {
        for (j, (to, from)) in panel.chunks_exact_mut(ld).zip(ht.chunks_exact(ks)).enumerate() {
            let to = &mut to[first..first + ks];
            match factors {
                None => to.copy_from_slice(from),
                Some(factors) => {
                    let factor = factors[chunk * GENE_CHUNK + j];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = from * factor);
                }
            }
        }
    });
}

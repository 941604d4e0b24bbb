//! Errors of the library as the program prints them: with the options that remedy them.

use partwise::driver::simulate::SimulateError;
use partwise::driver::{CheckpointError, ConfigError, DriverError, HvgError};
use partwise::job::{JobError, Role};
use partwise::storage::monitor::Elsewhere;
use partwise::storage::remedy::listed;
use partwise::storage::{Remedy, StorageError, Warning};
use partwise_report::ReportError;

use crate::size::ByteSize;

/// The whole line for `error`. Where its remedy is a choice that the user has on the command line, the line names the option.
pub(crate) fn line(error: &StorageError) -> String {
    if let StorageError::MemoryBudget { path, given, smallest, condition } = error {
        return format!("{}: {}", path.display(), too_small(*given, "", *smallest, condition));
    }
    let message = error.to_string();
    let Some(remedy) = error.remedy() else { return message };
    match (options(&remedy), message.strip_suffix(&remedy.to_string())) {
        (Some(options), Some(before)) => format!("{before}{options}"),
        _ => message,
    }
}

/// A warning as the program prints it: with the option that helps.
pub(crate) fn of_warning(warning: &Warning) -> String {
    let line = warning.to_string();
    let Warning::NotCounts { counts: Some(place), .. } = warning else { return line };
    let option = match place {
        Elsewhere::Layer(name) => format!("--layer {name}"),
        Elsewhere::Raw => "--raw".into(),
        Elsewhere::X => "X, without --layer and --raw".into(),
    };
    line.strip_suffix(&place.to_string()).map_or(line.clone(), |before| format!("{before}{option}"))
}

/// What the resident size of a process that begins differs by, from run to run.
const FROM_RUN_TO_RUN: u64 = 768 << 10;

/// The smallest budget, in MiB, that will suffice in another run, too.
fn smallest_budget(needed: u64) -> u64 {
    (needed + FROM_RUN_TO_RUN).div_ceil(1 << 20)
}

/// The sentence of a budget that is too small. Sizes have the units that people type.
fn too_small(budget: u64, work: &str, smallest: u64, condition: &str) -> String {
    let (budget, smallest) = (ByteSize(budget), smallest_budget(smallest));
    format!(
        "a memory budget of {budget} is too small{work}; the smallest is {smallest}M{condition} (--memory {smallest}M)"
    )
}

/// The line for settings that cannot be carried out.
pub(crate) fn of_config(error: &ConfigError) -> String {
    match error {
        ConfigError::Memory { budget, needed, lower_blocks } => {
            let advice = lower_blocks.map_or_else(String::new, |lower| {
                let memory = smallest_budget(lower.needed);
                let rows = lower.block_rows;
                format!("; a store converted with --block-rows {rows} needs less (--memory {memory}M)")
            });
            format!("{}{advice}", too_small(*budget, " for this run", *needed, ""))
        }
        ConfigError::SamplePasses => {
            "a start from a sample reads the data once and needs at least one more pass: --max-passes 2, or --init random"
                .into()
        }
        ConfigError::GivenForMany { .. } => {
            format!("{error}; give one -k and one --seed, or --init sample or random")
        }
        error => error.to_string(),
    }
}

/// The line for a simulation that failed.
pub(crate) fn of_simulate(error: &SimulateError) -> String {
    match error {
        SimulateError::Memory { budget, needed, genes, programs } => {
            too_small(*budget, &format!(" for {genes} genes and {programs} programs"), *needed, "")
        }
        error => error.to_string(),
    }
}

/// The line for a report that failed.
pub(crate) fn of_report(error: &ReportError) -> String {
    match error {
        ReportError::NoEmbedding { path, .. } => format!("{error} (--embedding {}:KEY)", path.display()),
        ReportError::OtherCells { .. } | ReportError::OneColumn { .. } => format!("{error} (--embedding FILE:KEY)"),
        ReportError::NoColumn { .. } | ReportError::ManyGroups { .. } => format!("{error} (--label COLUMN)"),
        error => error.to_string(),
    }
}

/// The line for a fit that failed.
pub(crate) fn of_driver(error: &DriverError) -> String {
    match error {
        DriverError::Checkpoint(CheckpointError::Exists { folder }) => format!(
            "{}: holds checkpoints already; go on from the newest with --resume, or begin anew and overwrite them with \
             --force",
            folder.display()
        ),
        DriverError::Threads { .. } => format!("{error} (--threads)"),
        error => error.to_string(),
    }
}

/// The line for a job that failed.
pub(crate) fn of_job(error: &JobError) -> String {
    match error {
        JobError::SelectionOfStore { path } => format!(
            "{}: a store holds one matrix; choose it (--layer, --raw, …) when you convert the file instead",
            path.display()
        ),
        JobError::StoreOfStore { path } => {
            format!("{}: is a store already; --store says where a file is converted to", path.display())
        }
        JobError::SeveralInto { path } => format!(
            "{}: --into takes one fit, with one -k and one --seed; partwise export RESULT --into adds the results of \
             several later",
            path.display()
        ),
        JobError::RepeatedGenes { .. } => format!("{error}: --gene-key COLUMN"),
        JobError::Genes { error: HvgError::NotCounts, .. } => {
            format!("{error} (--layer NAME or --raw of the file that the store is made of, or --hvg-method cnmf)")
        }
        JobError::Genes { error: HvgError::FewGenes { .. }, .. } => format!("{error} (--hvg-method cnmf)"),
        JobError::Genes { error: HvgError::EqualMeans { .. }, .. } => {
            format!("{error} (--min-cells N, or --hvg-method cnmf)")
        }
        JobError::NoSharedGene { .. } => format!("{error}: --gene-key COLUMN"),
        JobError::Overwrites { role, path, other_role, other } => format!(
            "{}: {role} would overwrite {other_role} {}; choose another {}",
            path.display(),
            other.display(),
            option_of(*role)
        ),
        JobError::NoCounts { .. } | JobError::CountsGone { .. } => format!("{error} with --input"),
        JobError::OtherSweep { path, differences } => format!(
            "{}: holds a sweep of {}; ask for what it has, choose another folder with -o, or start anew with --force",
            path.display(),
            differences.join("; ")
        ),
        JobError::OtherResult { path, differences } => format!(
            "{}: is a result {}; repeat its settings, choose another -o, or overwrite it with --force",
            path.display(),
            differences.join("; ")
        ),
        JobError::OtherStore { path, made_from } => format!(
            "{}: is the store of another matrix (made from {}); choose another --store or overwrite it with --force",
            path.display(),
            made_from.display()
        ),
        error => error.to_string(),
    }
}

/// The option that names an output.
fn option_of(role: Role) -> &'static str {
    match role {
        Role::Store => "--store",
        Role::Trace => "--trace",
        Role::Checkpoints => "--checkpoint",
        Role::CnmfFiles => "--cnmf-files",
        Role::Plot => "--plot",
        _ => "-o",
    }
}

/// A remedy in options of the program; `None` where it needs none.
fn options(remedy: &Remedy) -> Option<String> {
    const LAYER: &str = "--layer ";
    const RAW: &str = "--raw";
    Some(match remedy {
        Remedy::AllowOverwrite => "choose another name or overwrite it with --force".into(),
        Remedy::RaiseMemory { smallest, condition } => {
            let mebibytes = smallest.div_ceil(1 << 20);
            format!("the smallest budget is {mebibytes}M{condition} (--memory {mebibytes}M)")
        }
        Remedy::FewerThreads => "try fewer with --threads".into(),
        Remedy::ChooseBlockRows => "choose one with --block-rows".into(),
        Remedy::ChooseMatrix(others) => format!("choose one{}", others.phrase(LAYER, RAW)),
        Remedy::ChooseValues(others) => format!("NMF needs finite values of at least 0{}", others.phrase(LAYER, RAW)),
        Remedy::LeaveRawAway(others) => format!("leave --raw away{}", others.phrase(LAYER, RAW)),
        // The options have the names of the choices.
        Remedy::LeaveAway(choices) => {
            let options: Vec<String> = choices.iter().map(|choice| format!("--{}", choice.name())).collect();
            format!("leave {} away", options.join(" and "))
        }
        Remedy::ChooseOne { choice, names } => {
            let option = |text: &str| {
                let (name, remark) = text.split_at(text.find(" (").unwrap_or(text.len()));
                match name.contains(char::is_whitespace) {
                    true => format!("--{} \"{name}\"{remark}", choice.name()),
                    false => format!("--{} {name}{remark}", choice.name()),
                }
            };
            format!("choose one: {}", listed(names, option))
        }
        Remedy::ChooseGeneKey { columns } if !columns.is_empty() => {
            format!("choose a column with unique ids: {}", listed(columns, |name| format!("--gene-key {name}")))
        }
        Remedy::ChooseStart { reason } => format!("{reason}; start from one that is, or from --init sample"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use partwise::storage::{Choice, Matrices};

    #[test]
    fn lines_name_the_options_that_help() {
        let others = || Matrices { layers: vec!["spliced".into(), "counts".into()], raw: true };
        let missing = |remedy: Remedy| StorageError::MissingDataset {
            path: "x.h5ad".into(),
            dataset: "X".into(),
            remedy: remedy.into(),
        };
        let condition = " for any values".to_owned();
        let lines = [
            (
                StorageError::Exists { path: "x.pw".into() },
                "x.pw: exists already; choose another name or overwrite it with --force",
            ),
            (
                missing(Remedy::ChooseMatrix(others())),
                "x.h5ad: there is no \"X\"; choose one (the file also has --layer spliced, --layer counts, --raw)",
            ),
            (missing(Remedy::LeaveRawAway(Matrices::default())), "x.h5ad: there is no \"X\"; leave --raw away"),
            (
                missing(Remedy::ChooseOne { choice: Choice::Dataset, names: vec!["a (sparse)".into(), "b".into()] }),
                "x.h5ad: there is no \"X\"; choose one: --dataset a (sparse), --dataset b",
            ),
            (missing(Remedy::Text("its layers are a".into())), "x.h5ad: there is no \"X\"; its layers are a"),
            (
                StorageError::MemoryBudget {
                    path: "x.h5ad".into(),
                    given: 48 << 20,
                    smallest: (112 << 20) + 1,
                    condition,
                },
                "x.h5ad: a memory budget of 48M is too small; the smallest is 113M for any values (--memory 113M)",
            ),
            (
                StorageError::BlockRows { block_rows: 100, tile_rows: 256 },
                "100 rows a block are not a multiple of 256; choose one with --block-rows",
            ),
            (
                missing(Remedy::ChooseOne {
                    choice: Choice::Features,
                    names: vec!["Peaks".into(), "Gene Expression".into()],
                }),
                "x.h5ad: there is no \"X\"; choose one: --features Peaks, --features \"Gene Expression\"",
            ),
            (StorageError::Cancelled, "cancelled"),
        ];
        for (error, expected) in lines {
            assert_eq!(line(&error), expected);
        }
    }
}

//! Sums over processes, and no process waits for one that is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use partwise_driver::comm::{Comm, CommError, Solo, all_gather, broadcast, meet};
use proptest::prelude::*;

use crate::threads_comm::{ThreadComm, together};

#[test]
fn a_sum_has_the_shares_of_all_whoever_comes_first() {
    for late in 0..3 {
        let sums = together(3, |comm| {
            if comm.rank() == late {
                std::thread::sleep(Duration::from_millis(20));
            }
            let (mut ones, mut none, mut powers) = ([1; 4], [], [1 << comm.rank(), -(1 << (61 + comm.rank() % 2))]);
            comm.all_reduce_sum(&mut [&mut ones, &mut none, &mut powers]).unwrap();
            (ones, powers)
        });
        // −2⁶¹ − 2⁶² − 2⁶¹ is the smallest integer there is.
        assert_eq!(sums, vec![([3; 4], [7, i64::MIN]); 3]);
    }
}

#[test]
fn who_hangs_up_is_missed_by_all_but_not_in_sums_that_are_done() {
    for absent in 0..3 {
        let ended = together(3, |comm| {
            let first = all_gather(comm, 1);
            let then = if comm.rank() == absent { Ok(()) } else { meet(comm) };
            (first, then)
        });
        for (rank, (first, then)) in ended.into_iter().enumerate() {
            assert_eq!(first, Ok(vec![1, 1, 1]));
            assert_eq!(then.is_ok(), rank == absent, "{then:?}");
            if let Err(CommError { message }) = then {
                // Of the two that miss it, one may leave before the other looks.
                assert!(message.contains("has hung up before sum 1"), "{message}");
            }
        }
    }
}

#[test]
fn a_panic_ends_all_and_is_the_one_that_is_told() {
    for guilty in 0..3 {
        let missed = AtomicUsize::new(0);
        let panic = catch_unwind(AssertUnwindSafe(|| {
            together(3, |comm| {
                assert!(comm.rank() != guilty, "process {guilty} it was");
                missed.fetch_add(usize::from(meet(comm).is_err()), Ordering::Relaxed);
            })
        }));
        let said = *panic.unwrap_err().downcast::<String>().unwrap();
        assert_eq!((said, missed.into_inner()), (format!("process {guilty} it was"), 2));
    }
}

#[test]
fn processes_that_disagree_about_a_sum_are_told_so() {
    let panic = catch_unwind(AssertUnwindSafe(|| {
        together(2, |comm| comm.all_reduce_sum(&mut [&mut vec![0; 1 + comm.rank()]]).is_ok())
    }));
    let said = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("makes another sum than the first one here"), "{said}");
}

#[test]
fn one_alone_waits_for_nobody() {
    let alone = |comm: &dyn Comm| {
        meet(comm).unwrap();
        (all_gather(comm, -7).unwrap(), broadcast(comm, b"seven").unwrap())
    };
    assert_eq!(alone(&Solo), (vec![-7], b"seven".to_vec()));
    assert_eq!(together(1, |comm| alone(comm)), [alone(&Solo)]);
    assert!(ThreadComm::line(0).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everybody_knows_what_each_said(said in prop::collection::vec(any::<i64>(), 1..=5)) {
        let heard = together(said.len(), |comm| {
            meet(comm).unwrap();
            all_gather(comm, said[comm.rank()]).unwrap()
        });
        prop_assert_eq!(heard, vec![said.clone(); said.len()]);
    }

    #[test]
    fn everybody_has_the_bytes_of_the_first(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        size in 1usize..=5,
        others in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let heard = together(size, |comm| {
            let mine = if comm.rank() == 0 { &bytes } else { &others };
            (broadcast(comm, mine).unwrap(), all_gather(comm, comm.rank() as i64).unwrap())
        });
        let ranks: Vec<i64> = (0..size as i64).collect();
        prop_assert_eq!(heard, vec![(bytes, ranks); size]);
    }

    #[test]
    fn sums_in_a_row_do_not_mix(
        shares in prop::collection::vec(prop::collection::vec(any::<i32>(), 3), 1..=20),
        size in 1usize..=5,
    ) {
        let share = |rank: usize, values: &[i32]| -> Vec<i64> {
            values.iter().map(|&value| i64::from(value) * (rank as i64 + 1)).collect()
        };
        let heard = together(size, |comm| {
            let sums = shares.iter().map(|values| {
                let mut mine = share(comm.rank(), values);
                let (front, back) = mine.split_at_mut(1);
                comm.all_reduce_sum(&mut [front, back]).unwrap();
                mine
            });
            sums.collect::<Vec<_>>()
        });
        let triangle = size as i64 * (size as i64 + 1) / 2;
        let expected: Vec<Vec<i64>> =
            shares.iter().map(|values| values.iter().map(|&value| i64::from(value) * triangle).collect()).collect();
        prop_assert_eq!(heard, vec![expected; size]);
    }
}

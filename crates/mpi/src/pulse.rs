//! The facts that processes exchange all the time.

/// The message of one process, or the sum of the messages of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    /// The number of processes that wait in the next sum of the driver.
    arrived: i64,
    /// How many numbers they want to add up, in total.
    words: i64,
    /// The sum of the squares of these counts. If their mean is `w`, it equals size·w² only if each
    /// of them is `w`.
    squares: i64,
    /// The number of processes that have reached the end.
    leaving: i64,
    /// For each shared flag, the number of processes that raise it.
    raised: Vec<i64>,
}

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It works.
    Working,
    /// It waits in a sum of this many numbers.
    Summing(usize),
    /// It has reached the end.
    Leaving,
}

/// The consequence of a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Some process still works.
    Wait,
    /// All wait in the same sum.
    Sum,
    /// All have reached the end.
    Leave,
    /// They wait in different places, and would wait for ever.
    Disagree(String),
}

impl Beat {
    /// The message of a process at `place` that raises these flags.
    pub(crate) fn of(place: Place, raised: impl Iterator<Item = bool>) -> Self {
        let (arrived, words, leaving) = match place {
            Place::Working => (0, 0, 0),
            Place::Summing(words) => (1, words as i64, 0),
            Place::Leaving => (0, 0, 1),
        };
        Beat { arrived, words, squares: words.wrapping_mul(words), leaving, raised: raised.map(i64::from).collect() }
    }

    /// The integers to add up over all processes.
    pub(crate) fn to_sum(&self) -> Vec<i64> {
        [self.arrived, self.words, self.squares, self.leaving].into_iter().chain(self.raised.iter().copied()).collect()
    }

    /// The beat with these sums.
    pub(crate) fn from_sum(sum: &[i64]) -> Self {
        Beat { arrived: sum[0], words: sum[1], squares: sum[2], leaving: sum[3], raised: sum[4..].to_vec() }
    }

    /// For each shared flag, whether any process raises it.
    pub(crate) fn raised(&self) -> impl Iterator<Item = bool> {
        self.raised.iter().map(|&count| count > 0)
    }

    /// The verdict for one of `size` processes, of whose messages this beat is the sum.
    ///
    /// `place` is the state of the process in its own message.
    pub(crate) fn verdict(&self, place: Place, size: usize) -> Verdict {
        let size = size as i64;
        if self.arrived + self.leaving < size {
            return Verdict::Wait;
        }
        match place {
            Place::Summing(words) if self.arrived == size && self.all_want(words as i64, size) => Verdict::Sum,
            Place::Leaving if self.leaving == size => Verdict::Leave,
            _ if self.arrived == size => {
                let mean = self.words / size;
                Verdict::Disagree(format!("processes want to add up different numbers of numbers, {mean} on average"))
            }
            _ => Verdict::Disagree(format!("{} processes of {size} have ended while the others wait", self.leaving)),
        }
    }

    /// Whether each of `size` processes wants to add up `words` numbers.
    fn all_want(&self, words: i64, size: i64) -> bool {
        self.words == size * words && self.squares == words.wrapping_mul(words).wrapping_mul(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(places: &[Place]) -> Beat {
        let mut total = vec![0; 6];
        for (i, &place) in places.iter().enumerate() {
            let said = Beat::of(place, [i == 1, false].into_iter()).to_sum();
            total.iter_mut().zip(said).for_each(|(total, said)| *total += said);
        }
        Beat::from_sum(&total)
    }

    #[test]
    fn a_sum_needs_all_processes_in_the_same_place() {
        use Place::{Leaving, Summing, Working};
        let of = |places: &[Place]| sum(places).verdict(places[0], places.len());
        assert_eq!(of(&[Working, Summing(3), Summing(3)]), Verdict::Wait);
        assert_eq!(of(&[Summing(3), Working, Leaving]), Verdict::Wait);
        assert_eq!(of(&[Summing(3), Summing(3), Summing(3)]), Verdict::Sum);
        assert_eq!(of(&[Leaving, Leaving]), Verdict::Leave);
        assert!(matches!(of(&[Summing(3), Summing(4)]), Verdict::Disagree(_)));
        // The count of the first is the mean of all three.
        assert!(matches!(of(&[Summing(4), Summing(3), Summing(5)]), Verdict::Disagree(_)));
        assert!(matches!(of(&[Summing(3), Leaving]), Verdict::Disagree(_)));
        assert!(matches!(of(&[Leaving, Summing(3)]), Verdict::Disagree(_)));
    }

    #[test]
    fn a_flag_that_is_up_in_one_is_up_in_all() {
        let beat = sum(&[Place::Working, Place::Working, Place::Working]);
        assert_eq!(beat.raised().collect::<Vec<_>>(), [true, false]);
    }
}

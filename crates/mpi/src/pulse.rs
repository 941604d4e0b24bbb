//! What processes tell each other all the time.

/// What one process has to say, or the sum of what all have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beat {
    /// Processes that wait in the driver's next sum.
    arrived: i64,
    /// Numbers that these want to add up.
    words: i64,
    /// And the squares of how many they are: of numbers with the mean `w` these add up to that of `w` only where all are `w`.
    squares: i64,
    /// Processes that have nothing to do any more.
    leaving: i64,
    /// Processes where each of the shared flags is up.
    raised: Vec<i64>,
}

/// Where a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At work.
    Working,
    /// In a sum of so many numbers.
    Summing(usize),
    /// At the end.
    Leaving,
}

/// What follows from a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Somebody is still at work.
    Wait,
    /// All have come to the same sum.
    Sum,
    /// All have come to the end.
    Leave,
    /// They have come to different places, and would wait for each other for ever.
    Disagree(String),
}

impl Beat {
    /// What a process says.
    pub(crate) fn of(place: Place, raised: impl Iterator<Item = bool>) -> Self {
        let (arrived, words, leaving) = match place {
            Place::Working => (0, 0, 0),
            Place::Summing(words) => (1, words as i64, 0),
            Place::Leaving => (0, 0, 1),
        };
        Beat { arrived, words, squares: words.wrapping_mul(words), leaving, raised: raised.map(i64::from).collect() }
    }

    /// As integers to add up.
    pub(crate) fn to_sum(&self) -> Vec<i64> {
        [self.arrived, self.words, self.squares, self.leaving].into_iter().chain(self.raised.iter().copied()).collect()
    }

    /// From their sums.
    pub(crate) fn from_sum(sum: &[i64]) -> Self {
        Beat { arrived: sum[0], words: sum[1], squares: sum[2], leaving: sum[3], raised: sum[4..].to_vec() }
    }

    /// The flags that are up somewhere.
    pub(crate) fn raised(&self) -> impl Iterator<Item = bool> {
        self.raised.iter().map(|&count| count > 0)
    }

    /// What it means to a process at `place` among `size`, of which this beat is the sum.
    ///
    /// `place` is where it was when it said its part.
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
    fn all_have_to_come_to_the_same_place() {
        use Place::{Leaving, Summing, Working};
        let of = |places: &[Place]| sum(places).verdict(places[0], places.len());
        assert_eq!(of(&[Working, Summing(3), Summing(3)]), Verdict::Wait);
        assert_eq!(of(&[Summing(3), Working, Leaving]), Verdict::Wait);
        assert_eq!(of(&[Summing(3), Summing(3), Summing(3)]), Verdict::Sum);
        assert_eq!(of(&[Leaving, Leaving]), Verdict::Leave);
        assert!(matches!(of(&[Summing(3), Summing(4)]), Verdict::Disagree(_)));
        // The first wants what the others want on average.
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

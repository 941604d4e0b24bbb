//! Groups of cells as pictures show them: each with a name and a colour, the smallest ones together.

/// Groups that have a colour of their own.
const SHOWN: usize = 20;

/// Colours that people with any colour vision tell apart (Okabe and Ito, *Color Universal Design*), without black,
/// and then twelve more of other lightness. After eight colours, no palette keeps all pairs apart: the names in
/// the picture do.
const COLOURS: [&str; SHOWN] = [
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F", "#8C6BB1", "#44AA99",
    "#C2588A", "#999933", "#88CCEE", "#AA4499", "#3DA35D", "#DDCC77", "#B5552B", "#6699CC", "#AA4466", "#4477AA",
];
/// The colour of all other groups.
const OTHER: &str = "#B0B0B0";
/// The colour of cells without a group.
const MISSING: &str = "#D9D9D9";

/// Groups with their names and colours.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) names: Vec<String>,
    pub(crate) colours: Vec<&'static str>,
    /// The shown group of each cell of the sample.
    pub(crate) codes: Vec<usize>,
}

impl Shown {
    /// The groups `names` of `sizes` cells; `of_sample` has the group of each cell.
    pub(crate) fn new(names: &[String], sizes: &[u64], of_sample: &[Option<usize>]) -> Shown {
        let mut largest: Vec<usize> = (0..names.len()).collect();
        if names.len() > SHOWN {
            largest.sort_by(|&a, &b| sizes[b].cmp(&sizes[a]).then(a.cmp(&b)));
            largest.truncate(SHOWN - 1);
            largest.sort_unstable();
        }
        let mut shown = Shown {
            names: largest.iter().map(|&group| names[group].clone()).collect(),
            colours: COLOURS[..largest.len()].to_vec(),
            codes: Vec::new(),
        };
        let mut places: Vec<Option<usize>> = vec![None; names.len()];
        largest.iter().enumerate().for_each(|(place, &group)| places[group] = Some(place));
        let others = names.len() - largest.len();
        let other = shown.names.len();
        if others > 0 {
            shown.names.push(format!("{others} other groups"));
            shown.colours.push(OTHER);
        }
        let missing = shown.names.len();
        if of_sample.contains(&None) {
            shown.names.push("no value".into());
            shown.colours.push(MISSING);
        }
        shown.codes =
            of_sample.iter().map(|group| group.map_or(missing, |group| places[group].unwrap_or(other))).collect();
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_beyond_the_palette_are_shown_together() {
        let names: Vec<String> = (0..30).map(|group| group.to_string()).collect();
        let sizes: Vec<u64> = (0..30).collect();
        let of_sample = [Some(29), Some(0), None];
        let shown = Shown::new(&names, &sizes, &of_sample);
        assert_eq!((shown.names.len(), shown.colours.len()), (21, 21));
        assert_eq!(shown.names[18..], ["29", "11 other groups", "no value"]);
        assert_eq!(shown.codes, [18, 19, 20]);
        let few = Shown::new(&names[..2], &sizes[..2], &[Some(1)]);
        assert_eq!((few.names.len(), few.codes[0], few.colours[1]), (2, 1, "#E69F00"));
    }
}

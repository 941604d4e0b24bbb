//! The pictures: one file each. A picture gets numbers and makes a titled figure with a sentence that says what to
//! see in it.
//!
//! | file          | picture                                                          |
//! |---------------|------------------------------------------------------------------|
//! | `figure`      | what is a figure?                                                |
//! | `plot`        | what can a figure show?                                          |
//! | `number`      | how many digits of a number does a figure have?                  |
//! | `groups`      | which colours and names do groups of cells have?                 |
//! | `error_by_pass` | the error after each pass                                      |
//! | `shares`      | a clustered heat map of W                                        |
//! | `cells`       | cells in the plane, coloured by what the reader chooses          |
//! | `programs`    | a card for each program                                          |
//! | `overlap`     | how alike programs are                                           |
//! | `by_label`    | what groups of cells use                                         |
//! | `genes`       | one gene in every program                                        |
//! | `by_k`        | error and explained part against k                               |
//! | `agreement`   | which programs come back in every seed?                          |
//! | `stability`   | stability and error of a sweep against k                         |
//! | `explained`   | explained part of a sweep against k                              |
//! | `passes`      | passes of the replicates of a sweep against k                    |
//! | `replicates`  | how do lines and points of a sweep lie over k?                   |
//! | `clusters`    | how far apart the spectra of the replicates of a consensus are   |
//! | `density`     | how dense the spectra of the replicates of a consensus lie       |
//! | `variance`    | the variance of principal components                             |
//! | `axes`        | a card for each principal component                              |
//!
//! Texts are as they are in the files; `page` and `paper` escape them wherever they are shown.

pub(crate) mod agreement;
pub(crate) mod axes;
pub(crate) mod by_k;
pub(crate) mod by_label;
pub(crate) mod cells;
pub(crate) mod clusters;
pub(crate) mod density;
pub(crate) mod error_by_pass;
pub(crate) mod explained;
mod figure;
pub(crate) mod genes;
mod groups;
mod number;
pub(crate) mod overlap;
pub(crate) mod passes;
mod plot;
pub(crate) mod programs;
mod replicates;
pub(crate) mod shares;
pub(crate) mod stability;
pub(crate) mod variance;

pub(crate) use figure::{Card, Figure, Gene, Picture, View};
pub(crate) use number::{digits, percent, thousands};
pub(crate) use plot::{
    About, Axis, Bars, By, Cells, Colour, Curves, Direction, Genes, Heat, MARK, Mark, Palette, Part, Plot, Strip,
    Style, Ticks, Trace,
};

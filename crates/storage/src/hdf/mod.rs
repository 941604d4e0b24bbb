//! The HDF5 operations of readers and writers: bulk boxes, strings and attributes of all versions,
//! errors that name files.
//!
//! | file        | question                                                           |
//! |-------------|--------------------------------------------------------------------|
//! | `raw`       | which calls does the binding lack? (`unsafe`)                      |
//! | `file`      | how is a file opened and created, and why does that fail?          |
//! | `driver`    | how does the library reach the disk when it writes? (`unsafe`)     |
//! | `disk`      | what happens if a write fails?                                     |
//! | `elsewhere` | can values be read that lie in other files?                        |
//! | `claim`     | can a file of this size hold what it claims?                       |
//! | `problem`   | how are errors of the library converted?                           |
//! | `filter`    | which filters does a dataset need, and can the library apply them? |
//! | `chunks`    | how are chunks unpacked on several threads?                        |
//! | `decoders`  | how does the library unpack what it has no filter for? (`unsafe`)  |
//! | `cache`     | how large must a chunk cache be to decompress each chunk once?     |
//! | `number`    | how are numbers of any type read?                                  |
//! | `text`      | how are strings of any type read and written?                      |
//! | `copy`      | how is a dataset or group copied without its times?                |
//! | `attribute` | how are attributes of any type read and written?                   |

pub(crate) mod attribute;
pub(crate) mod cache;
pub(crate) mod chunks;
pub(crate) mod claim;
pub(crate) mod copy;
mod decoders;
pub(crate) mod disk;
mod driver;
pub(crate) mod elsewhere;
pub(crate) mod file;
pub(crate) mod filter;
pub(crate) mod number;
pub(crate) mod problem;
pub(crate) mod raw;
pub(crate) mod text;

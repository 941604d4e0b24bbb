//! The memory of a factor: zero, on cache lines, and in huge pages if it is large.
//!
//! Runs sorted by length visit genes in no order of the matrix, so their rows of H and WᵀX lie on a page each. A CPU
//! knows the places of some thousand small pages and has to look up the others; a huge page has 512 of them.

use std::ops::{Deref, DerefMut};

/// Values on a cache line.
const LINE: usize = 16;

/// Bytes of a huge page.
const HUGE: usize = 2 << 20;

/// What is left after whole huge pages gets one of its own if it fills at least so much of it: then a buffer takes at
/// most a third more than its values.
const LEAST_REST: usize = HUGE / 4 * 3;

/// Some f32, zero at first.
///
/// The system gives a large buffer zero pages, each when a thread first writes to it. So no thread clears the buffers
/// of the others, and on machines with several memories a page lies near its thread.
#[derive(Debug)]
pub(super) struct Memory {
    /// More than are asked for: they start where `start` says.
    values: Vec<f32>,
    start: usize,
    len: usize,
}

impl Memory {
    pub(super) fn zeros(len: usize) -> Memory {
        let huge = in_huge_pages(len);
        let aligned = if huge == 0 { LINE } else { HUGE / size_of::<f32>() };
        let all = len.max(huge / size_of::<f32>()).checked_add(aligned - 1).expect("a factor's length fits in usize");
        let values = vec![0.0f32; all];
        let start = values.as_ptr().align_offset(aligned * size_of::<f32>());
        assert!(start < aligned, "an address of f32 is a multiple of four");
        advise(&values[start..][..huge / size_of::<f32>()]);
        Memory { values, start, len }
    }

    /// Bytes that stay resident once all of `len` values have been written.
    pub(super) const fn bytes(len: usize) -> usize {
        let (bytes, huge) = (len * size_of::<f32>(), in_huge_pages(len));
        if bytes > huge { bytes } else { huge }
    }
}

/// Bytes from the start of `len` values on that lie in huge pages.
const fn in_huge_pages(len: usize) -> usize {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    let bytes = len * size_of::<f32>();
    let rest = bytes % HUGE;
    if rest < LEAST_REST { bytes - rest } else { bytes - rest + HUGE }
}

/// Asks the system for huge pages. It may have none to give, or be set to give none: then the pages are small.
fn advise(values: &[f32]) {
    #[cfg(target_os = "linux")]
    if !values.is_empty() {
        let (from, bytes) = (values.as_ptr().cast_mut().cast(), size_of_val(values));
        // SAFETY: the range is inside a live allocation, and this advice changes no value in it.
        let _ = unsafe { rustix::mm::madvise(from, bytes, rustix::mm::Advice::LinuxHugepage) };
    }
}

impl Clone for Memory {
    fn clone(&self) -> Memory {
        let mut copy = Memory::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

impl Deref for Memory {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.values[self.start..][..self.len]
    }
}

impl DerefMut for Memory {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = HUGE / size_of::<f32>();

    #[test]
    fn buffers_are_zero_and_start_on_a_line_and_large_ones_on_a_huge_page() {
        for len in [0, 1, 20, 4096, PAGE / 4 * 3 - 1, PAGE / 4 * 3, PAGE, PAGE + 4, 2 * PAGE - 4] {
            let mut memory = Memory::zeros(len);
            assert_eq!(memory.len(), len);
            assert!(memory.iter().all(|&value| value == 0.0));
            let aligned = if in_huge_pages(len) == 0 { LINE } else { PAGE };
            assert_eq!(memory.as_ptr() as usize % (4 * aligned), 0);
            memory.fill(3.0);
            let copy = memory.clone();
            assert_eq!((copy.as_ptr() as usize % (4 * aligned), &*copy), (0, &*memory));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_large_buffer_takes_memory_only_where_it_is_written() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").expect("the size of this process");
            let pages = statm.split(' ').nth(1).expect("the resident pages");
            4096 * pages.parse::<usize>().expect("a number")
        };
        let before = resident();
        let memory = Memory::zeros(128 * PAGE);
        // Other tests run beside this one, with some MiB.
        assert!(resident() < before + 128 * HUGE / 4, "{} bytes, then {}", before, resident());
        assert_eq!((memory[0], memory[128 * PAGE - 1]), (0.0, 0.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn huge_pages_cost_at_most_a_third_more() {
        assert_eq!(Memory::bytes(PAGE / 2), HUGE / 2);
        assert_eq!(Memory::bytes(20 * 20_000), HUGE);
        assert_eq!(Memory::bytes(20 * 30_000), 4 * 20 * 30_000);
        assert_eq!((in_huge_pages(20 * 30_000), in_huge_pages(64 * 30_000)), (HUGE, 3 * HUGE));
        for len in (1..5 * PAGE).step_by(997) {
            let bytes = Memory::bytes(len);
            assert!((4 * len..=16 * len / 3).contains(&bytes), "{len}");
        }
    }
}

//! LZF: literal runs and copies of earlier output.
//!
//! A control byte below 32 precedes that many literal bytes and one more. Any other one begins a
//! copy: its upper three bits are the length (7: a further byte adds to it) and its lower five the
//! upper bits of the distance, whose lower eight follow. Lengths count from 2, distances from 1.

pub(super) fn unpack(bytes: &[u8], out: &mut [u8]) -> Option<usize> {
    let (mut rest, mut at) = (bytes, 0);
    while let Some((&control, after)) = rest.split_first() {
        rest = after;
        if control < 32 {
            let (literals, after) = rest.split_at_checked(usize::from(control) + 1)?;
            out.get_mut(at..at + literals.len())?.copy_from_slice(literals);
            (rest, at) = (after, at + literals.len());
            continue;
        }
        let mut next = || {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            Some(usize::from(byte))
        };
        let mut len = usize::from(control >> 5) + 2;
        if len == 9 {
            len += next()?;
        }
        let distance = (usize::from(control & 31) << 8) + next()? + 1;
        let (from, end) = (at.checked_sub(distance)?, at + len);
        if end > out.len() {
            return None;
        }
        if distance >= len {
            out.copy_within(from..from + len, at);
        } else {
            // The copy overlaps what it reads.
            (at..end).for_each(|to| out[to] = out[to - distance]);
        }
        at = end;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_copies_are_unpacked() {
        let mut out = [0; 20];
        // "abc", then 5 bytes from a distance of 3, then 10 from a distance of 1.
        let packed = [2, b'a', b'b', b'c', 3 << 5, 2, 7 << 5, 1, 0];
        assert_eq!(unpack(&packed, &mut out), Some(18));
        assert_eq!(&out[..18], b"abcabcabbbbbbbbbbb");
        assert_eq!(unpack(&packed, &mut out[..17]), None);
        assert_eq!(unpack(&packed[..3], &mut out), None);
        assert_eq!(unpack(&[1 << 5, 0], &mut out), None, "a copy from before the beginning");
    }
}

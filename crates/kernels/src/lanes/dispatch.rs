//! The step from a panel's width, known at run time, to a function compiled for it.

/// Calls `$plain`, `$avx2` or `$avx512`, as `$isa` selects, for `$width` values (4 to 64 in steps
/// of 4).
macro_rules! lanes_for {
    ($isa:expr, $width:expr, $plain:ident, $avx2:ident, $avx512:ident($($arg:expr),*)) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => match $width {
                4 => $avx512::<Vectors<0, 0, 1>>($($arg),*),
                8 => $avx512::<Vectors<0, 1, 0>>($($arg),*),
                12 => $avx512::<Vectors<0, 1, 1>>($($arg),*),
                16 => $avx512::<Vectors<1, 0, 0>>($($arg),*),
                20 => $avx512::<Vectors<1, 0, 1>>($($arg),*),
                24 => $avx512::<Vectors<1, 1, 0>>($($arg),*),
                28 => $avx512::<Vectors<1, 1, 1>>($($arg),*),
                32 => $avx512::<Vectors<2, 0, 0>>($($arg),*),
                36 => $avx512::<Vectors<2, 0, 1>>($($arg),*),
                40 => $avx512::<Vectors<2, 1, 0>>($($arg),*),
                44 => $avx512::<Vectors<2, 1, 1>>($($arg),*),
                48 => $avx512::<Vectors<3, 0, 0>>($($arg),*),
                52 => $avx512::<Vectors<3, 0, 1>>($($arg),*),
                56 => $avx512::<Vectors<3, 1, 0>>($($arg),*),
                60 => $avx512::<Vectors<3, 1, 1>>($($arg),*),
                64 => $avx512::<Vectors<4, 0, 0>>($($arg),*),
                other => unreachable!("a panel of {other} values"),
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => match $width {
                4 => $avx2::<Vectors<0, 0, 1>>($($arg),*),
                8 => $avx2::<Vectors<0, 1, 0>>($($arg),*),
                12 => $avx2::<Vectors<0, 1, 1>>($($arg),*),
                16 => $avx2::<Vectors<0, 2, 0>>($($arg),*),
                20 => $avx2::<Vectors<0, 2, 1>>($($arg),*),
                24 => $avx2::<Vectors<0, 3, 0>>($($arg),*),
                28 => $avx2::<Vectors<0, 3, 1>>($($arg),*),
                32 => $avx2::<Vectors<0, 4, 0>>($($arg),*),
                36 => $avx2::<Vectors<0, 4, 1>>($($arg),*),
                40 => $avx2::<Vectors<0, 5, 0>>($($arg),*),
                44 => $avx2::<Vectors<0, 5, 1>>($($arg),*),
                48 => $avx2::<Vectors<0, 6, 0>>($($arg),*),
                52 => $avx2::<Vectors<0, 6, 1>>($($arg),*),
                56 => $avx2::<Vectors<0, 7, 0>>($($arg),*),
                60 => $avx2::<Vectors<0, 7, 1>>($($arg),*),
                64 => $avx2::<Vectors<0, 8, 0>>($($arg),*),
                other => unreachable!("a panel of {other} values"),
            },
            _ => match $width {
                4 => $plain::<Plain<4>>($($arg),*),
                8 => $plain::<Plain<8>>($($arg),*),
                12 => $plain::<Plain<12>>($($arg),*),
                16 => $plain::<Plain<16>>($($arg),*),
                20 => $plain::<Plain<20>>($($arg),*),
                24 => $plain::<Plain<24>>($($arg),*),
                28 => $plain::<Plain<28>>($($arg),*),
                32 => $plain::<Plain<32>>($($arg),*),
                36 => $plain::<Plain<36>>($($arg),*),
                40 => $plain::<Plain<40>>($($arg),*),
                44 => $plain::<Plain<44>>($($arg),*),
                48 => $plain::<Plain<48>>($($arg),*),
                52 => $plain::<Plain<52>>($($arg),*),
                56 => $plain::<Plain<56>>($($arg),*),
                60 => $plain::<Plain<60>>($($arg),*),
                64 => $plain::<Plain<64>>($($arg),*),
                other => unreachable!("a panel of {other} values"),
            },
        }
    };
}

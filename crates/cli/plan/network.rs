//! The names of networks that the user can type.

use std::fmt;
use std::str::FromStr;

/// The bandwidth and latency of the network between nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Link {
    /// Bits per second, in each direction.
    pub(super) bits: f64,
    /// Seconds for a short message.
    pub(super) latency: f64,
}

/// Gigabits per second and latency in seconds: of TCP on Ethernet below 100 Gb, of RDMA from 100 Gb
/// on.
const NAMED: [(f64, f64); 5] = [(1.0, 50e-6), (10.0, 30e-6), (25.0, 20e-6), (100.0, 2e-6), (200.0, 2e-6)];

const BANDWIDTHS: [(&str, f64); 2] = [("Gb", 1e9), ("Mb", 1e6)];
const TIMES: [(&str, f64); 3] = [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)];

impl FromStr for Link {
    type Err = String;

    /// `10Gb` and the other names, or a bandwidth and a latency: `40Gb,5us`, `100Mb,0.2ms`.
    fn from_str(typed: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{typed}\" is not a network; write 1Gb, 10Gb, 25Gb, 100Gb or 200Gb (gigabits per second), or a bandwidth and \
                 a latency, such as 40Gb,5us or 100Mb,0.2ms"
            )
        };
        let (bandwidth, latency) = match typed.split_once(',') {
            Some((bandwidth, latency)) => (bandwidth, Some(latency)),
            None => (typed, None),
        };
        if bandwidth.contains('B') {
            return Err(format!("\"{bandwidth}\" is in bytes; write bits (8 per byte), such as 100Gb"));
        }
        let bits = quantity(bandwidth, &BANDWIDTHS).filter(|&bits| bits > 0.0).ok_or_else(wrong)?;
        let latency = match latency {
            Some(latency) => quantity(latency, &TIMES),
            None => NAMED.iter().find(|(gigabits, _)| gigabits * 1e9 == bits).map(|&(_, latency)| latency),
        };
        Ok(Link { bits, latency: latency.ok_or_else(wrong)? })
    }
}

/// The value of a number with one of the units; `None` for anything else.
fn quantity(typed: &str, units: &[(&str, f64)]) -> Option<f64> {
    let typed = typed.trim().to_ascii_lowercase();
    let (number, size) = units
        .iter()
        .find_map(|(unit, size)| typed.strip_suffix(&unit.to_ascii_lowercase()).map(|number| (number, *size)))?;
    let value = number.trim().parse::<f64>().ok()? * size;
    (value.is_finite() && value >= 0.0).then_some(value)
}

impl fmt::Display for Link {
    /// `10 Gb/s each way, 30 us`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: f64, units: &[(&str, f64)]| {
            let (unit, size) = units.iter().find(|(_, size)| value >= *size).unwrap_or(&units[units.len() - 1]);
            // No network is known to more than four digits.
            format!("{} {unit}", (value / size * 1e4).round() / 1e4)
        };
        let times: Vec<_> = TIMES.iter().rev().copied().collect();
        write!(f, "{}/s each way, {}", shown(self.bits, &BANDWIDTHS), shown(self.latency, &times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (typed, gigabits, microseconds) in [
            ("1Gb", 1.0, 50.0),
            ("10gb", 10.0, 30.0),
            ("25Gb", 25.0, 20.0),
            ("100Gb", 100.0, 2.0),
            ("200Gb", 200.0, 2.0),
            ("10Gb,5us", 10.0, 5.0),
            ("2.5Gb, 0.1ms", 2.5, 100.0),
            ("100Mb,800ns", 0.1, 0.8),
            ("40Gb,0us", 40.0, 0.0),
        ] {
            let Link { bits, latency } = typed.parse().expect(typed);
            assert!((bits / 1e9 - gigabits).abs() < 1e-9 && (latency * 1e6 - microseconds).abs() < 1e-9, "{typed}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for typed in
            ["", "fast", "Gb", "10", "10Gb/s", "40Gb", "0Gb", "-1Gb,1us", "10Gb,", "10Gb,5", "infGb,1us", "1Gb,nanus"]
        {
            let said = typed.parse::<Link>().expect_err(typed);
            assert!(said.contains("is not a network") && said.contains("40Gb,5us"), "{typed}: {said}");
        }
    }

    #[test]
    fn bytes_are_refused() {
        for typed in ["100GB", "10GB/s", "10GB,5us", "100MB,1ms"] {
            let said = typed.parse::<Link>().expect_err(typed);
            assert!(said.contains("is in bytes") && said.contains("100Gb"), "{typed}: {said}");
        }
    }

    #[test]
    fn links_are_shown_with_bandwidth_and_latency() {
        for (typed, shown) in [
            ("10Gb", "10 Gb/s each way, 30 us"),
            ("2.5Gb,0.1ms", "2.5 Gb/s each way, 100 us"),
            ("100Mb,1500us", "100 Mb/s each way, 1.5 ms"),
            ("40Gb,0us", "40 Gb/s each way, 0 ns"),
        ] {
            assert_eq!(typed.parse::<Link>().expect(typed).to_string(), shown);
        }
    }
}

//! How long something takes: the latest, and how the last thousand were spread.

use std::collections::VecDeque;
use std::time::Duration;

use super::Figures;

/// More than that are not remembered: percentiles are of these.
const KEPT_MAX: usize = 1_000;

/// As dashboards of Mesos ask for them, in ten-thousandths.
const PERCENTILES: [(&str, usize); 6] = [
    ("p50", 5_000),
    ("p90", 9_000),
    ("p95", 9_500),
    ("p99", 9_900),
    ("p999", 9_990),
    ("p9999", 9_999),
];
const WHOLE: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    kept: VecDeque<Duration>,
}

impl Samples {
    pub fn add(&mut self, took: Duration) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(took);
    }

    /// Nothing, before the first of them; no spread of a single one.
    pub fn spell(&self, name: &str, figures: &mut Figures) {
        let Some(latest) = self.kept.back() else { return };
        figures.insert(name.to_owned(), millis(*latest));
        if self.kept.len() < 2 {
            return;
        }
        let mut sorted: Vec<Duration> = self.kept.iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len() - 1;
        let mut put = |kind: &str, value: f64| figures.insert(format!("{name}/{kind}"), value);
        put("count", super::count(sorted.len()));
        put("min", millis(sorted[0]));
        put("max", millis(sorted[last]));
        for (kind, part) in PERCENTILES {
            // The nearest rank.
            put(kind, millis(sorted[(last * part).div_ceil(WHOLE)]));
        }
    }
}

fn millis(took: Duration) -> f64 {
    took.div_duration_f64(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_told_and_how_the_last_thousand_were_spread() {
        let check = |millis: std::ops::Range<u64>, wanted: &[(&str, f64)]| {
            let mut samples = Samples::default();
            millis.for_each(|one| samples.add(Duration::from_millis(one)));
            let mut figures = Figures::new();
            samples.spell("x_ms", &mut figures);
            let wanted = wanted.iter().map(|(name, value)| (format!("x_ms{name}"), *value));
            for (name, value) in wanted {
                assert_eq!(figures.get(&name), Some(&value), "{name} of {figures:?}");
            }
            figures.len()
        };
        assert_eq!(check(0..0, &[]), 0);
        assert_eq!(check(7..8, &[("", 7.0)]), 1);
        let spread = [("", 1001.0), ("/count", 1000.0), ("/min", 2.0), ("/max", 1001.0)];
        assert_eq!(check(1..1002, &spread), 10);
        assert_eq!(check(0..101, &[("/p50", 50.0), ("/p90", 90.0), ("/p9999", 100.0)]), 10);
    }
}

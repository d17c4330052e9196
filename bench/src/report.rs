//! Figures as they are printed: a table for people, or a JSON object a line.

use crate::machine;
use crate::sample::Sample;

/// One figure.
pub(crate) struct Figure<'a> {
    /// Its name; the first part is its id where the plan of measurements has one.
    pub metric: &'a str,
    /// How many measurements are behind it.
    pub n: usize,
    pub value: f64,
    pub unit: &'a str,
    /// What it means, for people.
    pub meaning: &'a str,
}

/// Where figures go, at once.
pub(crate) struct Report {
    json: bool,
}

impl Report {
    pub fn start(area: &str, json: bool) -> Self {
        if !json {
            println!("paigham-bench {} {area}", env!("CARGO_PKG_VERSION"));
            println!("{}", machine::description());
        }
        Self { json }
    }

    /// Begins a group of figures; `about` says how they were measured.
    pub fn section(&self, title: &str, about: &str) {
        if !self.json {
            println!("\n{title}: {about}");
        }
    }

    pub fn figure(&self, figure: &Figure<'_>) {
        let Figure {
            metric,
            n,
            value,
            unit,
            meaning,
        } = *figure;
        if self.json {
            let line = serde_json::json!({"metric": metric, "n": n, "value": value, "unit": unit});
            println!("{line}");
        } else {
            let value = readable(value);
            println!("  {metric:<34} {value:>12} {unit:<13} n={n:<5} {meaning}");
        }
    }

    /// Smallest value and, under the plain name, median of a sample.
    pub fn least_and_median(&self, metric: &str, sample: &Sample, unit: &str, meaning: &str) {
        let least = format!("{metric}.min");
        self.of_sample(&least, sample, sample.min(), unit, "the least of them");
        self.of_sample(metric, sample, sample.median(), unit, meaning);
    }

    /// Median, under the plain name, and 95th percentile of a sample.
    pub fn median_and_p95(&self, metric: &str, sample: &Sample, unit: &str, meaning: &str) {
        self.of_sample(metric, sample, sample.median(), unit, meaning);
        let p95 = format!("{metric}.p95");
        self.of_sample(&p95, sample, sample.p95(), unit, "95 of 100 took no longer");
    }

    fn of_sample(&self, metric: &str, sample: &Sample, value: f64, unit: &str, meaning: &str) {
        self.figure(&Figure {
            metric,
            n: sample.n(),
            value,
            unit,
            meaning,
        });
    }
}

/// Whole numbers in groups of three digits, small ones with two decimals.
fn readable(value: f64) -> String {
    if value.fract() != 0.0 && value.abs() < 1_000.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digit.is_ascii_digit() && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(readable(1_234_567.0), "1,234,567");
        assert_eq!(readable(999.0), "999");
        assert_eq!(readable(1_000.4), "1,000");
        assert_eq!(readable(1.25), "1.25");
    }
}

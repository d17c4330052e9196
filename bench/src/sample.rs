//! Numbers of one kind, and what is said of them.

/// Measured values, in order of size.
#[derive(Debug, Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub const fn n(&self) -> usize {
        self.0.len()
    }

    pub fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub fn p95(&self) -> f64 {
        self.quantile(0.95)
    }

    /// The smallest value that so large a part does not exceed.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "counts of measurements are small"
    )]
    fn quantile(&self, part: f64) -> f64 {
        let rank = (self.0.len() as f64 * part).ceil() as usize;
        let value = self.0.get(rank.saturating_sub(1));
        value.copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of ten values the fifth is the median and the last the 95th percentile.
    #[test]
    fn quantiles_are_values_that_occurred() {
        let sample = Sample::new((1..=10).rev().map(f64::from).collect());
        assert_eq!(
            (sample.min(), sample.median(), sample.p95()),
            (1.0, 5.0, 10.0)
        );
        assert!(Sample::new(Vec::new()).median().is_nan());
    }
}

//! Mean and spread.

/// Mean and spread over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistic {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); `None` of one number.
    pub sd: Option<f64>,
    /// How many numbers.
    pub count: usize,
}

impl Statistic {
    /// Of numbers; `None` of none.
    pub fn new(numbers: &[f64]) -> Option<Self> {
        if numbers.is_empty() {
            return None;
        }
        let count = numbers.len();
        let mean = numbers.iter().sum::<f64>() / count as f64;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        Some(Self {
            mean,
            sd: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            count,
        })
    }

    /// Squared standard error of the mean; `None` of one number.
    pub fn squared_error(&self) -> Option<f64> {
        Some(self.sd?.powi(2) / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_that_of_a_sample() {
        assert_eq!(Statistic::new(&[]), None);
        let one = Statistic::new(&[0.5]).expect("one");
        assert_eq!((one.mean, one.sd), (0.5, None));
        let three = Statistic::new(&[1.0, 2.0, 3.0]).expect("three");
        assert_eq!((three.mean, three.sd, three.count), (2.0, Some(1.0), 3));
    }
}

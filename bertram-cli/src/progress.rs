//! A progress bar for what is not training. On a terminal only: indicatif hides it elsewhere.

use indicatif::{ProgressBar, ProgressStyle};

/// One bar for stages that follow each other.
#[derive(Default)]
pub struct StageBar {
    current: Option<(String, usize, ProgressBar)>,
}

impl StageBar {
    /// Shows that `done` of a stage's `rows` are done.
    pub fn show(&mut self, stage: &str, done: usize, rows: usize) {
        let same = self
            .current
            .as_ref()
            .is_some_and(|(name, total, _)| name == stage && *total == rows);
        if !same {
            self.finish();
            // One bar at a time.
            crate::gpu::settled();
            let bar = ProgressBar::new(rows as u64).with_message(stage.to_owned());
            if let Ok(style) =
                ProgressStyle::with_template("{msg:>8} {wide_bar} {pos}/{len} rows, {eta} left")
            {
                bar.set_style(style);
            }
            self.current = Some((stage.to_owned(), rows, bar));
        }
        if let Some((_, _, bar)) = &self.current {
            bar.set_position(done as u64);
        }
    }

    /// Clears the bar.
    pub fn finish(&mut self) {
        if let Some((_, _, bar)) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

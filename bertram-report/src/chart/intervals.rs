//! Estimates with intervals, a row each: scores of settings, effects of factors.

use super::*;

/// A row.
pub(crate) struct Interval {
    /// What is written before it.
    pub label: String,
    /// Number of its colour.
    pub colour: usize,
    /// The estimated effect, on the scale of the score.
    pub value: f64,
    /// Ends of the interval, where there is one.
    pub ends: Option<(f64, f64)>,
    /// Another number, shown as a ring: what the paper says.
    pub ring: Option<f64>,
}

/// A chart of rows.
pub(crate) struct Intervals {
    /// What is shown.
    pub title: String,
    /// What the numbers are.
    pub x_name: &'static str,
    /// Dashed upright lines: no effect, or a model that has learned nothing.
    pub lines: Vec<f64>,
    /// Rows, from the top.
    pub rows: Vec<Interval>,
}

/// Height of a row, and of one whose label stands above it.
const ROW: f64 = 20.0;
const TALL_ROW: f64 = 34.0;
/// The most that labels may take of the width beside their rows.
const SIDE: f64 = WIDTH * 0.42;

impl Intervals {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> Result<String, ReportError> {
        let x = padded(
            self.rows
                .iter()
                .flat_map(|row| {
                    let ends = row.ends.into_iter().flat_map(|(low, high)| [low, high]);
                    ends.chain([row.value]).chain(row.ring)
                })
                .chain(self.lines.iter().copied()),
        );
        let described: Vec<String> = self
            .rows
            .iter()
            .map(|row| match row.ends {
                Some((low, high)) => {
                    format!(
                        "{}: {:.3}, from {low:.3} to {high:.3}",
                        row.label, row.value
                    )
                }
                None => format!("{}: {:.3}", row.label, row.value),
            })
            .collect();
        let row = match self.above() {
            true => TALL_ROW,
            false => ROW,
        };
        let height = 48.0 + row * self.rows.len() as f64;
        draw(&self.title, &described.join("; "), height, |area| {
            self.paint(area, x)
        })
    }

    /// Room that the longest label takes.
    fn label_width(&self) -> f64 {
        let longest = self.rows.iter().map(|row| row.label.chars().count()).max();
        longest.unwrap_or(0) as f64 * CHARACTER + 12.0
    }

    /// Whether labels are too long to stand beside their rows, and stand above them.
    fn above(&self) -> bool {
        self.label_width() > SIDE
    }

    fn paint(&self, area: &Area<'_>, x: (f64, f64)) -> Drawn {
        let rows = self.rows.len().max(1) as f64;
        let above = self.above();
        let left = match above {
            true => 14.0,
            false => self.label_width().max(40.0),
        };
        let format = axis_number(x);
        let chart = Axes {
            x,
            y: (0.0, rows),
            x_name: self.x_name,
            left,
            right: 14.0,
            x_label: &format,
            y_label: None,
        }
        .draw(area)?;
        let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
        for &line in &self.lines {
            dashed(area, at(line, 0.0), at(line, rows), Ink::Muted, 1.5)?;
        }
        for (index, row) in self.rows.iter().enumerate() {
            let ink = Ink::Series(row.colour);
            let top = rows - index as f64;
            let y = top - if above { 0.72 } else { 0.5 };
            if let Some((low, high)) = row.ends {
                let bar = vec![at(low, y), at(high, y)];
                area.draw(&PathElement::new(bar, ink.line(2.0)))?;
            }
            area.draw(&Circle::new(at(row.value, y), units(3.6), ink.fill(1.0)))?;
            if let Some(ring) = row.ring {
                area.draw(&Circle::new(at(ring, y), units(4.0), Ink::Text.line(1.3)))?;
            }
            let (place, side) = match above {
                true => ((units(left), at(x.0, top - 0.26).1), HPos::Left),
                false => ((units(left - 8.0), at(x.0, y).1), HPos::Right),
            };
            // What is longer than the picture is cut off: the table has it whole.
            let most = ((WIDTH - left) / CHARACTER) as usize;
            area.draw(&Text::new(
                shortened(&row.label, most),
                place,
                Ink::Text.text(TEXT, side, VPos::Center),
            ))?;
        }
        Ok(())
    }
}

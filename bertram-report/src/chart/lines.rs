//! Curves over training.

use super::*;

/// A curve.
pub(crate) struct Line {
    /// Number of its colour.
    pub colour: usize,
    /// What is written at its end; empty for nothing.
    pub tag: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// `(x, low, high)` around it; empty for none.
    pub band: Vec<(f64, f64, f64)>,
    /// Whether points are shown as dots, too.
    pub dots: bool,
}

/// A chart of curves.
pub(crate) struct Lines {
    /// What is shown.
    pub title: String,
    /// What the horizontal axis counts.
    pub x_name: &'static str,
    /// Range of the vertical axis, where it does not follow from the curves.
    pub y_range: Option<(f64, f64)>,
    /// A dashed level line.
    pub level: Option<f64>,
    /// Curves over one another.
    pub lines: Vec<Line>,
}

impl Lines {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> Result<String, ReportError> {
        let xs = || {
            self.lines
                .iter()
                .flat_map(|line| &line.points)
                .map(|point| point.0)
        };
        let (first, last) = xs().fold((f64::INFINITY, 0.0_f64), |(first, last), x| {
            (first.min(x), last.max(x))
        });
        // Training begins at 0; a single point is not on the edge.
        let x = if last > 0.0 {
            (0.0, last * 1.01)
        } else {
            (0.0, 1.0)
        };
        let y = self.y_range.unwrap_or_else(|| {
            padded(
                self.lines
                    .iter()
                    .flat_map(|line| {
                        let band = line.band.iter().flat_map(|&(_, low, high)| [low, high]);
                        line.points.iter().map(|point| point.1).chain(band)
                    })
                    .chain(self.level),
            )
        });
        let described = self.described(first);
        draw(&self.title, &described, 220.0, |area| {
            self.paint(area, x, y)
        })
    }

    fn described(&self, first: f64) -> String {
        let ends: Vec<String> = self
            .lines
            .iter()
            .filter_map(|line| {
                let (begin, end) = (line.points.first()?, line.points.last()?);
                Some(format!(
                    "{} from {:.3} to {:.3}",
                    if line.tag.is_empty() {
                        "line"
                    } else {
                        &line.tag
                    },
                    begin.1,
                    end.1
                ))
            })
            .collect();
        format!(
            "Over {}, from {first:.0} on: {}.",
            self.x_name,
            ends.join("; ")
        )
    }

    fn paint(&self, area: &Area<'_>, x: (f64, f64), y: (f64, f64)) -> Drawn {
        let format = axis_number(y);
        let chart = Axes {
            x,
            y,
            x_name: self.x_name,
            left: label_room(y),
            right: if self.lines.iter().all(|line| line.tag.is_empty()) {
                10.0
            } else {
                24.0
            },
            x_label: &|number| thousands(*number),
            y_label: Some(&format),
        }
        .draw(area)?;
        let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
        if let Some(level) = self.level {
            dashed(area, at(x.0, level), at(x.1, level), Ink::Muted, 1.5)?;
        }
        // Many bands on each other are mud.
        let opacity = (0.34 / self.lines.len().max(1) as f64).clamp(0.05, 0.16);
        for line in &self.lines {
            let ink = Ink::Series(line.colour);
            if line.band.len() > 1 {
                let low = line.band.iter().map(|&(x, low, _)| at(x, low));
                let high = line.band.iter().rev().map(|&(x, _, high)| at(x, high));
                let outline: Vec<(i32, i32)> = low.chain(high).collect();
                area.draw(&Polygon::new(outline, ink.fill(opacity)))?;
            }
        }
        for line in &self.lines {
            let ink = Ink::Series(line.colour);
            let points: Vec<(i32, i32)> = line.points.iter().map(|&(x, y)| at(x, y)).collect();
            if points.len() > 1 {
                area.draw(&PathElement::new(points.clone(), ink.line(1.8)))?;
            }
            if line.dots || points.len() == 1 {
                // A single point has no band to show its spread.
                if let ([only], [(x, low, high)]) = (&points[..], &line.band[..]) {
                    let bar = vec![(only.0, at(*x, *low).1), (only.0, at(*x, *high).1)];
                    area.draw(&PathElement::new(bar, ink.line(1.4)))?;
                }
                for point in points {
                    area.draw(&Circle::new(point, units(2.6), ink.fill(1.0)))?;
                }
            }
        }
        self.tags(area, &chart)
    }

    /// Tags at the ends of curves, moved apart where they would lie on each other.
    fn tags(&self, area: &Area<'_>, chart: &Chart<'_, '_>) -> Drawn {
        let mut tags: Vec<(i32, &Line)> = self
            .lines
            .iter()
            .filter(|line| !line.tag.is_empty())
            .filter_map(|line| Some((chart.backend_coord(line.points.last()?).1, line)))
            .collect();
        tags.sort_by_key(|(y, _)| *y);
        let apart = units(TEXT);
        let (_, bottom) = chart.plotting_area().get_pixel_range();
        let lowest = bottom.end - apart / 2;
        for index in 0..tags.len() {
            if index > 0 {
                tags[index].0 = tags[index].0.max(tags[index - 1].0 + apart);
            }
        }
        // What was pushed below the axis pushes back.
        let mut limit = lowest;
        for tag in tags.iter_mut().rev() {
            tag.0 = tag.0.min(limit);
            limit = tag.0 - apart;
        }
        let (right, _) = chart.plotting_area().get_pixel_range();
        for (y, line) in tags {
            area.draw(&Text::new(
                line.tag.clone(),
                (right.end + units(6.0), y),
                Ink::Series(line.colour).text(TEXT, HPos::Left, VPos::Center),
            ))?;
        }
        Ok(())
    }
}

fn thousands(number: f64) -> String {
    if number >= 10_000.0 {
        format!("{:.0}k", number / 1000.0)
    } else {
        format!("{number:.0}")
    }
}

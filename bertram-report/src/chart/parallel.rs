//! Parallel coordinates: what many things have of several scales (A. Inselberg, *The Plane with Parallel Coordinates*, The
//! Visual Computer 1985). Scales lie level, one below the other, so that a phone has room for any number of them.

use super::*;

/// A scale.
pub(crate) struct Scale {
    /// What it is of.
    pub label: String,
    /// Places from 0 (left) to 1, and what is written there.
    pub ticks: Vec<(f64, String)>,
}

/// A thing: its place on each scale.
pub(crate) struct Thing {
    /// Places from 0 to 1, as many as there are scales.
    pub places: Vec<f64>,
    /// Whether it stands out.
    pub stands_out: bool,
}

/// A chart of things.
pub(crate) struct ParallelCoordinates {
    /// What is shown.
    pub title: String,
    /// Scales, from the top.
    pub scales: Vec<Scale>,
    /// Things; later ones lie over earlier ones.
    pub things: Vec<Thing>,
}

/// Height of a scale with its texts.
const ROW: f64 = 52.0;
/// Room above the first scale, for its name.
const TOP: f64 = 22.0;
/// Room on either side.
const SIDE: f64 = 14.0;

impl ParallelCoordinates {
    /// The chart as an `<svg>` element.
    pub fn svg(&self) -> Result<String, ReportError> {
        let names: Vec<&str> = self.scales.iter().map(|it| it.label.as_str()).collect();
        let described = format!(
            "{} lines over the scales {}.",
            self.things.len(),
            names.join(", ")
        );
        let height = TOP + ROW * self.scales.len() as f64 - 12.0;
        draw(&self.title, &described, height, |area| self.paint(area))
    }

    fn paint(&self, area: &Area<'_>) -> Drawn {
        let at = |place: f64, scale: usize| {
            let x = SIDE + place.clamp(0.0, 1.0) * (WIDTH - 2.0 * SIDE);
            (units(x), units(TOP + scale as f64 * ROW))
        };
        // Many lines on each other are mud.
        let opacity = (12.0 / self.things.len().max(1) as f64).clamp(0.18, 0.6);
        let (best, others): (Vec<&Thing>, Vec<&Thing>) =
            self.things.iter().partition(|thing| thing.stands_out);
        for thing in others.into_iter().chain(best) {
            let places = thing.places.iter().enumerate();
            let points: Vec<(i32, i32)> = places.map(|(scale, place)| at(*place, scale)).collect();
            let style = match thing.stands_out {
                true => Ink::Accent.line(2.2),
                false => Ink::Muted
                    .colour()
                    .mix(opacity)
                    .stroke_width(units(1.1) as u32),
            };
            area.draw(&PathElement::new(points, style))?;
        }
        for (index, scale) in self.scales.iter().enumerate() {
            let line = vec![at(0.0, index), at(1.0, index)];
            area.draw(&PathElement::new(line, Ink::Text.line(1.0)))?;
            let (left, y) = at(0.0, index);
            let name = Ink::Text.text(TEXT, HPos::Left, VPos::Bottom);
            let most = ((WIDTH - 2.0 * SIDE) / CHARACTER) as usize;
            let label = shortened(&scale.label, most);
            area.draw(&Text::new(label, (left - units(4.0), y - units(5.0)), name))?;
            let room = (WIDTH - 2.0 * SIDE) / scale.ticks.len().max(1) as f64;
            for (place, text) in &scale.ticks {
                let (x, y) = at(*place, index);
                let tick = vec![(x, y - units(3.0)), (x, y + units(3.0))];
                area.draw(&PathElement::new(tick, Ink::Text.line(1.0)))?;
                let side = match *place {
                    place if place < 0.05 => HPos::Left,
                    place if place > 0.95 => HPos::Right,
                    _ => HPos::Center,
                };
                let out = match side {
                    HPos::Left => -units(4.0),
                    HPos::Right => units(4.0),
                    HPos::Center => 0,
                };
                area.draw(&Text::new(
                    shortened(text, (room / CHARACTER) as usize),
                    (x + out, y + units(5.0)),
                    Ink::Muted.text(TEXT, side, VPos::Top),
                ))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_outside_of_a_scale_are_drawn_at_its_end() {
        let scale = |label: &str| Scale {
            label: label.into(),
            ticks: vec![(0.0, "0".into()), (1.0, "1 < 2".into())],
        };
        let chart = ParallelCoordinates {
            title: "A title".into(),
            scales: vec![scale("one"), scale("other")],
            things: vec![
                Thing {
                    places: vec![-1.0, 0.5],
                    stands_out: false,
                },
                Thing {
                    places: vec![0.5, f64::INFINITY],
                    stands_out: true,
                },
            ],
        };
        let picture = chart.svg().expect("a picture");
        assert!(picture.contains("2 lines over the scales one, other."));
        assert!(picture.contains("1 &lt; 2") && !picture.contains("NaN"));
    }
}

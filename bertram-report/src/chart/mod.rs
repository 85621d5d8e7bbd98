//! Charts as inline SVG, drawn by `plotters`.
//!
//! A chart is about as wide as a phone, so that its text has the page's size there and on a laptop, where several
//! stand side by side. Colours are drawn as stand-ins and then become CSS variables: the page decides what they are, in
//! light, in dark and in print.

mod calibration;
mod intervals;
mod lines;
mod matrix;
mod parallel;
mod scatter;

pub(super) use calibration::calibration;
pub(super) use intervals::{Interval, Intervals};
pub(super) use lines::{Line, Lines};
pub(super) use matrix::matrix;
pub(super) use parallel::{ParallelCoordinates, Scale, Thing};
pub(super) use scatter::scatter;

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ReportError;

/// How many colours lines can have.
pub(super) const COLOURS: usize = 8;

/// Backend units of a CSS pixel: `plotters` draws on whole units, which are too coarse for curves.
const SCALE: f64 = 4.0;

/// Width of a chart in CSS pixels.
const WIDTH: f64 = 290.0;

/// Size of text in CSS pixels.
const TEXT: f64 = 11.5;

/// Width of a character of text in CSS pixels, of the wider fonts.
const CHARACTER: f64 = 7.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Failure = DrawingAreaErrorKind<std::io::Error>;
type Drawn = Result<(), Failure>;

/// A colour that the page decides on.
#[derive(Clone, Copy)]
enum Ink {
    Text,
    Muted,
    Grid,
    Accent,
    Paper,
    Series(usize),
}

impl Ink {
    /// The stand-in: `#0100xx`, which nothing else is.
    fn colour(self) -> RGBColor {
        let number = match self {
            Ink::Text => 0,
            Ink::Muted => 1,
            Ink::Grid => 2,
            Ink::Accent => 3,
            Ink::Paper => 4,
            Ink::Series(index) => 16 + (index % COLOURS) as u8,
        };
        RGBColor(1, 0, number)
    }

    fn variable(self) -> String {
        match self {
            Ink::Text => "var(--ink)".into(),
            Ink::Muted => "var(--muted)".into(),
            Ink::Grid => "var(--grid)".into(),
            Ink::Accent => "var(--accent)".into(),
            Ink::Paper => "var(--paper)".into(),
            Ink::Series(index) => format!("var(--s{index})"),
        }
    }

    fn line(self, width: f64) -> ShapeStyle {
        self.colour().stroke_width(units(width) as u32)
    }

    fn fill(self, opacity: f64) -> ShapeStyle {
        self.colour().mix(opacity).filled()
    }

    fn text(self, size: f64, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
        // The SVG backend divides sizes by 1.24.
        ("sans-serif", size * SCALE * 1.24)
            .into_font()
            .color(&self.colour())
            .pos(Pos::new(horizontal, vertical))
    }
}

/// CSS pixels as backend units.
fn units(pixels: f64) -> i32 {
    (pixels * SCALE).round() as i32
}

/// Draws a chart of `height` CSS pixels.
fn draw(
    title: &str,
    description: &str,
    height: f64,
    paint: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    {
        let size = (units(WIDTH) as u32, units(height) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area)
            .and_then(|()| area.present())
            .map_err(|error| ReportError::Chart {
                title: title.to_owned(),
                message: error.to_string(),
            })?;
    }
    // The opening tag becomes ours: no fixed size, no namespace (inside HTML it needs none), and words for those who
    // do not see the picture.
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\"><title>{}</title><desc>{}</desc>{body}",
        units(WIDTH),
        units(height),
        escape(title),
        escape(description),
    );
    svg = svg.replace(" opacity=\"1\"", "");
    let inks = [Ink::Text, Ink::Muted, Ink::Grid, Ink::Accent, Ink::Paper];
    for ink in inks.into_iter().chain((0..COLOURS).map(Ink::Series)) {
        let RGBColor(red, green, blue) = ink.colour();
        // Quotes in text are escaped, so this is an attribute.
        svg = svg.replace(
            &format!("=\"#{red:02X}{green:02X}{blue:02X}\""),
            &format!("=\"{}\"", ink.variable()),
        );
    }
    Ok(svg)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Axes with light lines at their labels.
struct Axes<'a> {
    x: (f64, f64),
    y: (f64, f64),
    /// What the horizontal axis counts.
    x_name: &'a str,
    /// Room on the left and the right, in CSS pixels.
    left: f64,
    right: f64,
    /// Labels of the horizontal axis.
    x_label: &'a dyn Fn(&f64) -> String,
    /// Labels of the vertical one; without them it is not drawn.
    y_label: Option<&'a dyn Fn(&f64) -> String>,
}

impl Axes<'_> {
    /// How many labels there is room for; more, where `plotters` would then show fewer than two.
    fn x_labels(&self) -> usize {
        let longest = [self.x.0, self.x.1]
            .map(|end| (self.x_label)(&end).chars().count())
            .into_iter()
            .max();
        let label_width = longest.unwrap_or(1) as f64 * CHARACTER + 8.0;
        let room = ((WIDTH - self.left - self.right) / label_width) as usize;
        let axis = RangedCoordf64::from(self.x.0..self.x.1);
        (room.clamp(3, 7)..12)
            .find(|&labels| axis.key_points(labels).len() > 1)
            .unwrap_or(3)
    }

    fn draw<'a, 'b>(&self, area: &'a Area<'b>) -> Result<Chart<'a, 'b>, Failure> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(units(8.0))
            .margin_right(units(self.right))
            .x_label_area_size(units(34.0))
            .y_label_area_size(units(self.left))
            .build_cartesian_2d(self.x.0..self.x.1, self.y.0..self.y.1)?;
        let x_labels = self.x_labels();
        let mut mesh = chart.configure_mesh();
        mesh.x_labels(x_labels)
            .y_labels(6)
            .max_light_lines(1)
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.line(1.0))
            .axis_style(Ink::Muted.line(1.0))
            .set_all_tick_mark_size(units(4.0))
            .label_style(Ink::Muted.text(TEXT, HPos::Center, VPos::Top))
            .x_label_formatter(self.x_label);
        match self.y_label {
            Some(label) => mesh.y_label_formatter(label),
            None => mesh.disable_y_mesh().disable_y_axis(),
        };
        mesh.draw()?;
        let (width, height) = area.dim_in_pixel();
        let middle = (units(self.left) + width as i32 - units(self.right)) / 2;
        area.draw(&Text::new(
            self.x_name.to_owned(),
            (middle, height as i32 - units(1.0)),
            Ink::Muted.text(TEXT, HPos::Center, VPos::Bottom),
        ))?;
        Ok(chart)
    }
}

/// A dashed straight line in backend units.
fn dashed(area: &Area<'_>, from: (i32, i32), to: (i32, i32), ink: Ink, width: f64) -> Drawn {
    let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = dx.hypot(dy);
    let step = 7.0 * SCALE;
    let at = |distance: f64| {
        let share = (distance / length).min(1.0);
        (
            from.0 + (dx * share).round() as i32,
            from.1 + (dy * share).round() as i32,
        )
    };
    let dashes = if length > 0.0 {
        (length / step).ceil() as usize
    } else {
        0
    };
    for dash in 0..dashes {
        let begin = dash as f64 * step;
        area.draw(&PathElement::new(
            vec![at(begin), at(begin + step * 0.55)],
            ink.line(width),
        ))?;
    }
    Ok(())
}

/// The range of some numbers with a little room, never empty.
fn padded(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
            (low.min(number), high.max(number))
        });
    if low > high {
        return (0.0, 1.0);
    }
    let room = ((high - low) * 0.07).max(0.008);
    (low - room, high + room)
}

/// Decimals that a range needs.
fn places(range: (f64, f64)) -> usize {
    match range.1 - range.0 {
        span if span < 0.06 => 3,
        span if span < 1.5 => 2,
        span if span < 15.0 => 1,
        _ => 0,
    }
}

/// Labels of an axis with as many decimals as its range needs.
fn axis_number(range: (f64, f64)) -> impl Fn(&f64) -> String {
    let places = places(range);
    move |number| super::number::decimals(*number, places)
}

/// Room for the labels of a vertical axis, in CSS pixels.
fn label_room(range: (f64, f64)) -> f64 {
    let sign = if range.0 < 0.0 { 7.0 } else { 0.0 };
    22.0 + CHARACTER * places(range) as f64 + sign
}

/// A text of at most so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

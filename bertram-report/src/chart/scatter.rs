//! Gold scores against predicted ones.

use super::*;

/// Gold across, predicted up, on one scale.
pub(crate) fn scatter(
    title: &str,
    points: &[[f64; 2]],
    scale: (f64, f64),
    pearson: Option<f64>,
) -> Result<String, ReportError> {
    let correlation = pearson.map_or_else(String::new, |r| format!(", Pearson r {r:.3}"));
    let described = format!("{} points{correlation}.", points.len());
    let room = (scale.1 - scale.0) * 0.04;
    let range = (scale.0 - room, scale.1 + room);
    draw(title, &described, 240.0, |area| {
        let format = |number: &f64| format!("{number:.0}");
        let chart = Axes {
            x: range,
            y: range,
            x_name: "gold score",
            left: 26.0,
            right: 14.0,
            x_label: &format,
            y_label: Some(&format),
        }
        .draw(area)?;
        let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
        dashed(
            area,
            at(scale.0, scale.0),
            at(scale.1, scale.1),
            Ink::Muted,
            1.2,
        )?;
        // Far outside of the picture is as good as anywhere outside, and has coordinates that are numbers.
        let span = scale.1 - scale.0;
        let near = |score: f64| score.clamp(range.0 - span, range.1 + span);
        for &[gold, predicted] in points {
            area.draw(&Circle::new(
                at(near(gold), near(predicted)),
                units(2.2),
                Ink::Accent.fill(0.38),
            ))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_far_outside_of_the_scale_are_drawn_outside_of_the_picture() {
        let points = [[1.0, 2.0], [0.0, 1e38], [5.0, -1e38], [1e9, 1e9]];
        let picture = scatter("A title", &points, (0.0, 5.0), None).expect("a picture");
        assert!(picture.contains("<svg"), "{picture}");
    }
}

//! Calibration: what is predicted against what is so.

use bertram_train::analysis::CalibrationBin;

use super::*;

/// Mean probability across, share of positives up; grey bars are shares of rows.
pub(crate) fn calibration(
    title: &str,
    bins: &[CalibrationBin],
    ece: f64,
) -> Result<String, ReportError> {
    let rows: u64 = bins.iter().map(|bin| bin.count).sum();
    let described = format!(
        "Share of positives by predicted probability, of {rows} rows. Expected calibration error {ece:.3}."
    );
    draw(title, &described, 240.0, |area| {
        let format = axis_number((0.0, 1.0));
        let chart = Axes {
            x: (0.0, 1.0),
            y: (0.0, 1.0),
            x_name: "predicted probability of yes",
            left: label_room((0.0, 1.0)),
            right: 14.0,
            x_label: &format,
            y_label: Some(&format),
        }
        .draw(area)?;
        let at = |x: f64, y: f64| chart.backend_coord(&(x, y));
        for bin in bins {
            let share = bin.count as f64 / rows.max(1) as f64;
            let corners = [at(bin.from + 0.008, share), at(bin.to - 0.008, 0.0)];
            if bin.count > 0 {
                area.draw(&Rectangle::new(corners, Ink::Muted.fill(0.22)))?;
            }
        }
        dashed(area, at(0.0, 0.0), at(1.0, 1.0), Ink::Muted, 1.2)?;
        let points: Vec<(i32, i32)> = bins
            .iter()
            .filter_map(|bin| Some(at(bin.mean_probability?, bin.positives?)))
            .collect();
        area.draw(&PathElement::new(points.clone(), Ink::Accent.line(1.8)))?;
        for point in points {
            area.draw(&Circle::new(point, units(3.4), Ink::Accent.fill(1.0)))?;
        }
        Ok(())
    })
}

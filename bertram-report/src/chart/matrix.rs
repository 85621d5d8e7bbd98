//! Confusion matrices.

use super::*;

/// Gold classes down, predicted classes across; a cell is as dark as its share of the gold class.
pub(crate) fn matrix(title: &str, counts: &[Vec<u64>]) -> Result<String, ReportError> {
    let classes = counts.len().max(1);
    let (left, top, cell_height) = (44.0, 36.0, 34.0);
    let cell_width = (WIDTH - left - 8.0) / classes as f64;
    let height = top + cell_height * classes as f64 + 6.0;
    let total: u64 = counts.iter().flatten().sum();
    let right: u64 = counts
        .iter()
        .enumerate()
        .filter_map(|(class, row)| row.get(class))
        .sum();
    let described = format!(
        "Gold classes down, predicted classes across. {right} of {total} rows are on the diagonal."
    );
    draw(title, &described, height, |area| {
        let centred = |ink: Ink, size: f64| ink.text(size, HPos::Center, VPos::Center);
        let label = |text: String, x: f64, y: f64| {
            Text::new(text, (units(x), units(y)), centred(Ink::Muted, TEXT))
        };
        area.draw(&label(
            "predicted".into(),
            left + cell_width * classes as f64 / 2.0,
            8.0,
        ))?;
        area.draw(&label("gold".into(), 18.0, top - 12.0))?;
        for (gold, row) in counts.iter().enumerate() {
            let y = top + cell_height * gold as f64;
            area.draw(&label(gold.to_string(), 18.0, y + cell_height / 2.0))?;
            area.draw(&label(
                gold.to_string(),
                left + cell_width * (gold as f64 + 0.5),
                top - 12.0,
            ))?;
            let rows = row.iter().sum::<u64>().max(1) as f64;
            for (predicted, &count) in row.iter().enumerate() {
                let x = left + cell_width * predicted as f64;
                let corners = [
                    (units(x + 1.0), units(y + 1.0)),
                    (units(x + cell_width - 1.0), units(y + cell_height - 1.0)),
                ];
                let share = count as f64 / rows;
                // At most .6: text on it stays legible in light and in dark.
                area.draw(&Rectangle::new(
                    corners,
                    Ink::Accent.fill(0.05 + 0.55 * share),
                ))?;
                if predicted == gold {
                    area.draw(&Rectangle::new(corners, Ink::Accent.line(1.0)))?;
                }
                area.draw(&Text::new(
                    count.to_string(),
                    (units(x + cell_width / 2.0), units(y + cell_height / 2.0)),
                    centred(Ink::Text, TEXT + 1.0),
                ))?;
            }
        }
        Ok(())
    })
}

//! What the dashboard looks like. What fits is chosen by the terminal's size: scores and losses first.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Chart, Clear, Dataset, GraphType, LineGauge, Paragraph, Row, Table, Wrap,
};

use super::{Screen, Tab};
use crate::learner::dashboard::view::{Curve, SeriesKind, View, short, speed_text};
use crate::phase::duration_for_people;

/// Width of the column of numbers.
const NUMBERS: u16 = 38;
/// A chart needs so much, with its axes.
const CHART: (u16, u16) = (38, 9);
const COLORS: [Color; 6] = [
    Color::Cyan,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Blue,
    Color::Red,
];

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame, view: &View, screen: &Screen) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, head, view, screen);
    let [numbers, charts] =
        Layout::horizontal([Constraint::Length(NUMBERS), Constraint::Fill(1)]).areas(body);
    draw_numbers(frame, numbers, view, screen.tab);
    draw_charts(frame, charts, view, screen.tab);
    draw_foot(frame, foot, screen);
    if screen.asks {
        draw_question(frame, screen);
    }
}

/// The run, its place, the time left and the speed.
fn draw_head(frame: &mut Frame, area: Rect, view: &View, screen: &Screen) {
    let [title, gauge] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let mut place = vec![format!("epoch {}/{}", view.epoch, view.epochs)];
    place.extend(view.latest(SeriesKind::Speed).map(speed_text));
    let left = view.seconds_left();
    place.extend(left.map(|left| format!("left {}", duration_for_people(left))));
    let place = place.join("  ");
    let [run, place_area] = Layout::horizontal([
        Constraint::Fill(1),
        Constraint::Length(place.chars().count() as u16),
    ])
    .areas(title);
    frame.render_widget(Line::from(screen.run.as_str()).bold(), run);
    frame.render_widget(Line::from(place), place_area);

    let (done, total, label) = match view.evaluation {
        Some(evaluation) => {
            let left = evaluation.left().map_or(String::new(), |left| {
                format!(", left {}", duration_for_people(left.as_secs_f64()))
            });
            let (done, total) = (evaluation.done, evaluation.total);
            (
                done,
                total,
                format!("evaluating {done}/{total} rows{left} "),
            )
        }
        None => (
            view.update,
            view.updates,
            format!("update {}/{} ", view.update, view.updates),
        ),
    };
    let ratio = match total {
        0 => 0.0,
        total => (done as f64 / total as f64).clamp(0.0, 1.0),
    };
    frame.render_widget(
        LineGauge::default()
            .ratio(ratio)
            .label(label)
            .filled_style(Style::new().fg(Color::Cyan))
            .unfilled_style(Style::new().dim()),
        gauge,
    );
}

/// The latest numbers as a table: scores, losses and the learning rate, or the diagnostics.
fn draw_numbers(frame: &mut Frame, area: Rect, view: &View, tab: Tab) {
    let latest = |curve: &Curve| curve.latest().map_or("-".into(), short);
    let heading = |text: &'static str| Row::new([Span::from(text).bold()]);
    let row = |name: &str, number: String, best: String| {
        Row::new([
            Line::from(name.to_owned()),
            Line::from(number).alignment(Alignment::Right),
            Line::from(best).alignment(Alignment::Right),
        ])
    };
    let mut rows = Vec::new();
    match tab {
        Tab::Scores => {
            rows.push(Row::new([
                Line::from("dev").bold(),
                Line::from("last").alignment(Alignment::Right).dim(),
                Line::from("best (epoch)").alignment(Alignment::Right).dim(),
            ]));
            for curve in view
                .of(SeriesKind::Overall)
                .chain(view.of(SeriesKind::Score))
            {
                let best = curve.best.map_or(String::new(), |(best, epoch)| {
                    format!("{} ({epoch})", short(best))
                });
                rows.push(row(&curve.series.name, latest(curve), best));
            }
            rows.push(Row::default());
            rows.push(heading("loss"));
            for curve in view.of(SeriesKind::Loss) {
                rows.push(row(&curve.series.label, latest(curve), String::new()));
            }
            rows.push(Row::default());
            for curve in view.of(SeriesKind::Rate) {
                let rate = curve
                    .latest()
                    .map_or("-".into(), |rate| format!("{rate:.1e}"));
                rows.push(row(&curve.series.name, rate, String::new()));
            }
        }
        Tab::Diagnostics => {
            rows.push(heading("gradients, penalties"));
            for curve in view.of(SeriesKind::Diagnostic) {
                rows.push(row(&curve.series.name, latest(curve), String::new()));
            }
        }
    }
    let last = match tab {
        Tab::Scores => Constraint::Length(12),
        Tab::Diagnostics => Constraint::Length(0),
    };
    let table = Table::new(rows, [Constraint::Fill(1), Constraint::Length(7), last])
        .block(Block::new().padding(ratatui::widgets::Padding::new(0, 2, 1, 0)));
    frame.render_widget(table, area);
}

/// Curves that share a chart.
struct Group<'a> {
    title: String,
    curves: Vec<&'a Curve>,
}

/// What there is to draw: each curve alone where all fit, else curves of a kind together.
fn groups<'a>(view: &'a View, tab: Tab, room: usize) -> Vec<Group<'a>> {
    let alone = |curve: &'a Curve| Group {
        title: match curve.series.kind {
            SeriesKind::Score | SeriesKind::Overall => format!("dev {}", curve.series.name),
            _ => curve.series.name.clone(),
        },
        curves: vec![curve],
    };
    let drawn = |curve: &&Curve| !curve.points.is_empty();
    let of = |kinds: &[SeriesKind]| -> Vec<&'a Curve> {
        let kinds = kinds.iter();
        kinds
            .flat_map(|kind| view.of(*kind))
            .filter(drawn)
            .collect()
    };
    let scores = of(&[SeriesKind::Overall, SeriesKind::Score]);
    let losses = of(&[SeriesKind::Loss]);
    let rest = of(&[SeriesKind::Speed, SeriesKind::Rate]);
    let groups: Vec<Group<'a>> = match tab {
        Tab::Diagnostics => of(&[SeriesKind::Diagnostic])
            .into_iter()
            .map(alone)
            .collect(),
        Tab::Scores if scores.len() + losses.len() <= room => {
            let all = scores.into_iter().chain(losses).chain(rest);
            all.map(alone).collect()
        }
        Tab::Scores => {
            let together = |title: &str, curves: Vec<&'a Curve>| {
                let title = title.to_owned();
                (!curves.is_empty()).then_some(Group { title, curves })
            };
            let kinds = [together("dev scores", scores), together("losses", losses)];
            let kinds = kinds.into_iter().flatten();
            kinds.chain(rest.into_iter().map(alone)).collect()
        }
    };
    groups.into_iter().take(room).collect()
}

fn draw_charts(frame: &mut Frame, area: Rect, view: &View, tab: Tab) {
    let (columns, rows) = (area.width / CHART.0, area.height / CHART.1);
    let room = usize::from(columns.max(1)) * usize::from(rows.max(1));
    if area.width < 20 || area.height < 5 {
        return;
    }
    let groups = groups(view, tab, room);
    if groups.is_empty() {
        let text = match tab {
            Tab::Scores => "the first numbers come after a few updates",
            Tab::Diagnostics => "this run measures nothing between its tasks' gradients",
        };
        frame.render_widget(Paragraph::new(text).dim().wrap(Wrap { trim: true }), area);
        return;
    }
    // As few columns as the height allows: curves are read along the updates.
    let columns = groups.len().div_ceil(usize::from(rows.max(1)));
    let rows = groups.len().div_ceil(columns);
    let lines = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
    for (groups, line) in groups.chunks(columns).zip(lines.iter()) {
        let cells = Layout::horizontal(vec![Constraint::Fill(1); groups.len()]).split(*line);
        for (group, cell) in groups.iter().zip(cells.iter()) {
            draw_chart(frame, *cell, group);
        }
    }
}

/// The least and the largest of numbers, a bit apart where they are one.
fn bounds(numbers: impl Iterator<Item = f64>) -> [f64; 2] {
    let [low, high] = numbers
        .filter(|number| number.is_finite())
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], number| {
            [low.min(number), high.max(number)]
        });
    if low > high {
        return [0.0, 1.0];
    }
    let margin = match (high - low) / 20.0 {
        0.0 => (high.abs() / 20.0).max(1e-6),
        margin => margin,
    };
    // What is never below 0 has no axis there.
    let below = if low < 0.0 {
        low - margin
    } else {
        (low - margin).max(0.0)
    };
    [below, high + margin]
}

fn draw_chart(frame: &mut Frame, area: Rect, group: &Group<'_>) {
    let several = group.curves.len() > 1;
    let datasets = group.curves.iter().zip(COLORS.iter().cycle());
    let datasets = datasets.map(|(curve, color)| {
        Dataset::default()
            .marker(Marker::Braille)
            // A line needs two points.
            .graph_type(match curve.points.len() {
                1 => GraphType::Scatter,
                _ => GraphType::Line,
            })
            .style(Style::new().fg(*color))
            .data(&curve.points)
    });
    let points = || group.curves.iter().flat_map(|curve| &curve.points);
    let y = bounds(points().map(|(_, number)| *number));
    let most = points().map(|(update, _)| *update).fold(1.0, f64::max);
    let x = [0.0, most];
    let mut title = group.title.clone();
    if let ([curve], Some(latest)) = (
        group.curves.as_slice(),
        group.curves.first().and_then(|it| it.latest()),
    ) {
        let latest = match curve.series.kind {
            SeriesKind::Speed => format!("{latest:.0}"),
            SeriesKind::Rate => format!("{latest:.1e}"),
            _ => short(latest),
        };
        title = format!("{title} {latest}");
    }
    let label = |number: f64| match number.abs() >= 1000.0 {
        true => format!("{:.1}k", number / 1e3),
        false => short(number),
    };
    let mut title = Line::from(title).bold();
    if several {
        // A legend would lie over the curves' ends.
        for (curve, color) in group.curves.iter().zip(COLORS.iter().cycle()) {
            let name = format!("  {}", curve.series.label);
            title.push_span(Span::styled(name, Style::new().fg(*color)));
        }
    }
    let chart = Chart::new(datasets.collect())
        .block(Block::new().title(title))
        .x_axis(
            Axis::default()
                .bounds(x)
                .labels([Line::from("0"), Line::from(format!("{most:.0} updates"))])
                .style(Style::new().dim()),
        )
        .y_axis(
            Axis::default()
                .bounds(y)
                .labels([Line::from(label(y[0])), Line::from(label(y[1]))])
                .style(Style::new().dim()),
        )
        .legend_position(None);
    frame.render_widget(chart, area);
}

fn draw_foot(frame: &mut Frame, area: Rect, screen: &Screen) {
    let line = if screen.stop.is_set() {
        Line::from("stopping after this update and its checkpoint; Ctrl-C: at once").bold()
    } else {
        let other = match screen.tab {
            Tab::Scores => "gradients and penalties",
            Tab::Diagnostics => "scores and losses",
        };
        Line::from(format!("Tab: {other}   q or Ctrl-C: stop")).dim()
    };
    frame.render_widget(line, area);
}

fn draw_question(frame: &mut Frame, screen: &Screen) {
    let text = vec![
        Line::from("Stop after this update?").bold(),
        Line::default(),
        Line::from("The run keeps a checkpoint, and goes on from there with"),
        Line::from(format!("bertram-cli train --resume {}", screen.run)),
        Line::default(),
        Line::from("y: stop   n: go on"),
    ];
    let widest = text.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let area = frame.area();
    let width = widest.min(area.width);
    // What is wider than the terminal takes another line.
    let height = (8 + 2 * (widest / area.width.max(1))).min(area.height);
    let area = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, area);
    let block = Block::bordered().padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(
        Paragraph::new(text).wrap(Wrap { trim: true }).block(block),
        area,
    );
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::learner::dashboard::view::tests::{number, place, view};
    use crate::learner::session::StopFlag;

    fn drawn(width: u16, height: u16, view: &View, screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal
            .draw(|frame| draw(frame, view, screen))
            .expect("draws");
        let lines = terminal.backend().buffer().content().chunks(width.into());
        lines
            .map(|cells| {
                let line: String = cells.iter().map(|cell| cell.symbol()).collect();
                line.trim_end().to_owned() + "\n"
            })
            .collect()
    }

    /// A run in its second epoch.
    fn trained() -> View {
        let mut view = view();
        for update in 1..=20 {
            let x = update as f64;
            view.collect(&number("sst loss", 2.0 / x));
            view.collect(&number("sts loss", 0.5 + 0.01 * x));
            view.collect(&number("tokens/s", 12_000.0 + 100.0 * x));
            view.collect(&number("learning rate", 1e-4 / x));
            view.collect(&number("cosine sst-sts", 0.1 * x.sin()));
            view.trained(&place(1 + update / 15, update % 15, 15, update));
            if update == 15 {
                view.collect(&number("overall", 0.61));
                view.collect(&number("sst accuracy", 0.42));
                view.collect(&number("sts pearson", 0.6));
                view.evaluated(&place(1, 40, 40, 15));
            }
        }
        view
    }

    #[test]
    fn scores_come_first_at_every_size() {
        let view = trained();
        let mut screen = Screen::new("runs/2026-11-27-quickstart".into(), StopFlag::default());
        insta::assert_snapshot!(
            "start_80x24",
            drawn(80, 24, &super::super::super::view::tests::view(), &screen)
        );
        for (width, height) in [(80, 24), (120, 40), (200, 50)] {
            let text = drawn(width, height, &view, &screen);
            for word in [
                "update 20/45",
                "12.0k..14.0k tok/s",
                "overall",
                "sst accuracy",
                "sts pearson",
                ".610 (1)",
            ] {
                let found = match word.split_once("..") {
                    Some(_) => text.contains("14.0k tok/s"),
                    None => text.contains(word),
                };
                assert!(found, "{word} at {width}x{height}:\n{text}");
            }
            insta::assert_snapshot!(format!("scores_{width}x{height}"), text);
        }
        screen.tab = Tab::Diagnostics;
        insta::assert_snapshot!("diagnostics_80x24", drawn(80, 24, &view, &screen));
        screen.asks = true;
        let text = drawn(80, 24, &view, &screen);
        assert!(
            text.contains("train --resume runs/2026-11-27-quickstart"),
            "{text}"
        );
        insta::assert_snapshot!("question_80x24", text);
        // Nothing panics where nothing fits.
        for (width, height) in [(1, 1), (10, 3), (40, 8), (38, 200), (300, 4)] {
            drawn(width, height, &view, &screen);
        }
    }
}

//! Draws processor seconds per million messages as an SVG bar chart, a group of bars per workload.
//!
//! The scale is logarithmic, because servers differ by a factor of a hundred between batched and single messages.

use std::fmt::Write;

use super::Outcome;

const BAR: f64 = 14.0;
const GROUP_GAP: f64 = 14.0;
const LEFT: f64 = 150.0;
const TOP: f64 = 70.0;
const WIDTH: f64 = 900.0;
/// Room to the right of the longest bar for its figure.
const RIGHT: f64 = 60.0;
const COLOURS: [&str; 7] = ["#0b6e4f", "#c1502e", "#3d5a98", "#b08900", "#7a3b8f", "#5b6770", "#2a9fb5"];

/// The chart as the text of an SVG file.
pub(super) fn svg(outcome: &Outcome) -> String {
    let rows: Vec<(&str, Vec<(usize, f64)>)> = outcome
        .rows
        .iter()
        .map(|row| {
            let bars = outcome.servers.iter().enumerate().filter_map(|(index, server)| {
                let value = row.servers.get(server)?.median?.cpu_seconds_per_million;
                (value > 0.0).then_some((index, value))
            });
            (row.workload.as_str(), bars.collect())
        })
        .filter(|(_, bars): &(&str, Vec<_>)| !bars.is_empty())
        .collect();
    let scale = Scale::of(rows.iter().flat_map(|(_, bars)| bars.iter().map(|(_, value)| *value)));
    let bars: usize = rows.iter().map(|(_, bars)| bars.len()).sum();
    let height = TOP + bars as f64 * BAR + rows.len() as f64 * GROUP_GAP + 10.0;
    let mut text = String::new();
    put(
        &mut text,
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"11\">"
        ),
    );
    put(&mut text, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>".to_owned());
    let title = "Processor seconds of the server per million delivered messages (logarithmic)";
    put(&mut text, format!("<text x=\"10\" y=\"20\" font-size=\"14\">{title}</text>"));
    legend(&mut text, &outcome.servers);
    scale.draw(&mut text, height);
    let mut y = TOP;
    for (workload, bars) in &rows {
        let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
        put(&mut text, format!("<text x=\"10\" y=\"{middle:.1}\">{}</text>", escape(workload)));
        for (server, value) in bars {
            bar(&mut text, y, scale.x(*value), colour(*server), *value);
            y += BAR;
        }
        y += GROUP_GAP;
    }
    put(&mut text, "</svg>".to_owned());
    text
}

fn bar(text: &mut String, y: f64, end: f64, colour: &str, value: f64) {
    let (width, height) = (end - LEFT, BAR - 2.0);
    put(
        text,
        format!(
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
        ),
    );
    put(text, format!("<text x=\"{:.1}\" y=\"{:.1}\">{value:.2}</text>", end + 4.0, y + BAR - 4.0));
}

fn legend(text: &mut String, servers: &[String]) {
    let mut x = 10.0;
    for (index, server) in servers.iter().enumerate() {
        put(
            text,
            format!("<rect x=\"{x}\" y=\"32\" width=\"10\" height=\"10\" fill=\"{}\"/>", colour(index)),
        );
        put(text, format!("<text x=\"{}\" y=\"41\">{}</text>", x + 14.0, escape(server)));
        x += 40.0 + 7.0 * server.chars().count() as f64;
    }
}

/// Whole powers of ten around the values.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (0, 1);
        for value in values {
            low = low.min(value.log10().floor() as i32);
            high = high.max(value.log10().ceil() as i32);
        }
        Self { low, high }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn draw(&self, text: &mut String, height: f64) {
        for power in self.low..=self.high {
            let value = 10_f64.powi(power);
            let (x, bottom) = (self.x(value), height - 8.0);
            put(
                text,
                format!(
                    "<path d=\"M{x:.1} {:.1}V{bottom:.1}\" stroke=\"#d0d4d8\" fill=\"none\"/>",
                    TOP - 8.0
                ),
            );
            put(
                text,
                format!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value}</text>", TOP - 12.0),
            );
        }
    }
}

fn colour(server: usize) -> &'static str {
    COLOURS.get(server % COLOURS.len()).copied().unwrap_or("black")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn put(text: &mut String, element: String) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{element}");
}

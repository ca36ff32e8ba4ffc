//! The plot: two charts over the number of nodes, as SVG.

use std::fmt::Write as _;

use crate::Row;

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
const GAP: f64 = 100.0;

/// One line of a chart.
struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "a plot")]
pub(crate) fn svg(rows: &[Row]) -> String {
    let line = |name, colour, value: fn(&Row) -> f64| Line {
        name,
        colour,
        points: rows.iter().map(value).collect(),
    };
    let times = [
        line("first node told, median", "#1f77b4", |row| row.first[0] as f64 / 1000.0),
        line("every node told, median", "#2ca02c", |row| row.last[0] as f64 / 1000.0),
        line("every node told, worst", "#d62728", |row| row.last[1] as f64 / 1000.0),
    ];
    let bytes = [
        line("nothing happens", "#1f77b4", |row| row.quiet_bytes / 1000.0),
        line("busiest second after crashes", "#d62728", |row| row.busiest_bytes / 1000.0),
    ];
    let (width, height) = (LEFT + 2.0 * WIDTH + GAP + 30.0, TOP + HEIGHT + 110.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    chart(&mut out, LEFT, "seconds until a silent node is noticed", rows, &times);
    chart(&mut out, LEFT + WIDTH + GAP, "kilobytes a node sends in a second", rows, &bytes);
    out.push_str("</svg>\n");
    out
}

#[expect(clippy::cast_precision_loss, reason = "a plot")]
fn chart(out: &mut String, left: f64, title: &str, rows: &[Row], lines: &[Line]) {
    let top = lines.iter().flat_map(|line| &line.points).fold(1.0_f64, |most, point| most.max(*point)).ceil();
    let decades = |nodes: usize| (nodes as f64).log10();
    let (low, high) = (
        rows.first().map_or(1.0, |row| decades(row.nodes)),
        rows.last().map_or(1.0, |row| decades(row.nodes)),
    );
    let x = |nodes: usize| left + (decades(nodes) - low) / (high - low).max(0.1) * WIDTH;
    let y = |value: f64| TOP + HEIGHT - value / top * HEIGHT;
    let _infallible =
        writeln!(out, "<text x=\"{left}\" y=\"{}\" font-size=\"14\">{title}</text>", TOP - 16.0);
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _infallible = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{:.0}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{2:.0}\" y=\"{3:.1}\" text-anchor=\"end\">{value:.2}</text>",
            left + WIDTH,
            y(value),
            left - 6.0,
            y(value) + 4.0
        );
    }
    for row in rows {
        let _infallible = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            x(row.nodes),
            TOP + HEIGHT + 18.0,
            row.nodes
        );
    }
    for (place, line) in lines.iter().enumerate() {
        let Line { name, colour, points } = line;
        let places: Vec<(f64, f64)> =
            rows.iter().zip(points).map(|(row, point)| (x(row.nodes), y(*point))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _infallible = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y) in places {
            let _infallible =
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let under = TOP + HEIGHT + 42.0 + 18.0 * place as f64;
        let _infallible = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{:.0}\" width=\"12\" height=\"3\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{name}</text>",
            under - 5.0,
            left + 18.0,
            under
        );
    }
}

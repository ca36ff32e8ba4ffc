//! Tests of names, medians, tables and chart; running servers is the integration test's matter.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Case, Cell, Figures, Outcome, Row, built_in, chart, median, table};
use crate::Report;

fn cell(cpu: f64) -> Cell {
    let median =
        Figures { cpu_seconds_per_million: cpu, messages_per_second: 1e6 / cpu, ..Figures::default() };
    Cell { median: Some(median), ..Cell::default() }
}

fn outcome() -> Outcome {
    let servers = BTreeMap::from([("skein".to_owned(), cell(0.5)), ("other".to_owned(), cell(2.0))]);
    let alone = BTreeMap::from([("skein".to_owned(), cell(40.0))]);
    Outcome {
        subject: "skein".to_owned(),
        servers: vec!["skein".to_owned(), "other".to_owned()],
        rows: vec![
            Row { workload: "pairs-q0-16".to_owned(), servers },
            Row { workload: "shared-q1-16".to_owned(), servers: alone },
        ],
    }
}

#[test]
fn every_row_of_the_reference_table_has_a_case() {
    for name in Case::ALL {
        let case = Case::parse(name).expect("a name of the list");
        assert_eq!(case.name, name);
    }
    let case = Case::parse("pairs-q1-256-w1").expect("a name");
    let arguments: Vec<_> = case.arguments().collect();
    assert_eq!(arguments, ["pairs", "--qos", "1", "--payload", "256", "--window", "1"]);
    let paced = Case::parse("paced-q0-5k").expect("a name");
    assert_eq!(paced.arguments().collect::<Vec<_>>(), ["paced", "--qos", "0", "--rate", "5000"]);
}

#[test]
fn names_of_another_form_are_refused() {
    for name in
        ["", "pairs", "pairs-q3-16", "pairs-q0-x", "rows-q0-16", "pairs-q0-5k", "paced-q0-16", "pairs-16"]
    {
        let error = Case::parse(name).expect_err("no such workload").to_string();
        assert!(error.contains("pairs-q0-16-w1"), "{error}");
    }
}

#[test]
fn a_server_is_left_out_where_it_cannot_take_part() {
    let nats = built_in("nats", PathBuf::from("nats-server")).expect("a known server");
    let suits = |name: &str| Case::parse(name).expect("a name").suits(&nats);
    assert!(suits("pairs-q1-16") && !suits("pairs-q2-16") && !suits("shared-q1-16"));
    assert!(built_in("unheard-of", PathBuf::new()).is_none());
}

#[test]
fn the_median_of_even_and_odd_counts() {
    let report = |rate: f64| Report { messages_per_second: rate, ..Report::default() };
    let odd = median(&[report(9.0), report(1.0), report(5.0)]).expect("three reports");
    let even = median(&[report(9.0), report(1.0)]).expect("two reports");
    assert_eq!((odd.messages_per_second, even.messages_per_second), (5.0, 5.0));
    assert_eq!(median(&[]), None);
}

#[test]
fn tables_show_figures_gaps_and_ratios() {
    let mut outcome = outcome();
    let text = table::markdown(&outcome);
    assert!(text.contains("| pairs-q0-16 | 0.50 | 2.00 |"), "{text}");
    assert!(text.contains("| shared-q1-16 | 40.00 | – |"), "{text}");
    assert!(text.contains("| pairs-q0-16 | 0.25, 4.00, – |"), "{text}");
    assert!(!text.contains("went wrong"));
    let cell = outcome.rows[0].servers.get_mut("other").expect("a cell");
    cell.failures.push("no answer".to_owned());
    assert!(table::markdown(&outcome).contains("- pairs-q0-16 other: no answer"));
}

#[test]
fn the_chart_has_a_bar_per_figure_and_longer_bars_for_more() {
    let text = chart::svg(&outcome());
    let widths: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with("<rect x=\"150\""))
        .filter_map(|line| line.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
        .collect();
    assert_eq!(widths.len(), 3, "{text}");
    assert!(widths[0] < widths[1] && widths[1] < widths[2], "{widths:?}");
    assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
    let empty = chart::svg(&Outcome::default());
    assert!(empty.contains("</svg>"));
}

//! The report: tables of medians for people, every round for programs.

use crate::arguments::Arguments;
use crate::measure::{Series, disturbed};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// What one subject gives.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) tables: Vec<Table>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What one has to know to read it.
    pub(crate) note: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<(String, Vec<Option<Series>>)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) decimals: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) limit: Limit,
    pub(crate) measured: Series,
}

#[derive(Debug)]
pub(crate) struct Report {
    heading: String,
    load_before: String,
    section: Section,
}

impl Report {
    pub(crate) fn begin(arguments: &Arguments) -> Report {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let heading = format!(
            "{} rounds, {} s of each way on the disk in each, on {cores} cores ({}). Medians.",
            arguments.rounds,
            arguments.turn.as_secs_f64(),
            processor(),
        );
        Report { heading, load_before: load(), section: Section::default() }
    }

    /// Shows what a section found and keeps it.
    pub(crate) fn add(&mut self, section: Section) {
        for table in &section.tables {
            println!("{}", table.markdown());
        }
        println!("{}", targets_markdown(&section.targets));
        self.section.tables.extend(section.tables);
        self.section.targets.extend(section.targets);
    }

    pub(crate) fn write(&self, out: &Path) {
        let disturbed = disturbed();
        let load = format!(
            "Load of the machine (1, 5, 15 minutes): before {}, after {}. In the turns on the disk and in memory other \
             programs took {:.2} cores in the median, {:.2} at most.",
            self.load_before,
            load(),
            disturbed.median(),
            disturbed.highest(),
        );
        let tables: Vec<String> = self.section.tables.iter().map(Table::markdown).collect();
        let targets = targets_markdown(&self.section.targets);
        let text = format!(
            "# The store beside its peers\n\n{}\n{load}\n\n{}\n{targets}",
            self.heading,
            tables.join("\n")
        );
        let tables: Vec<Value> = self.section.tables.iter().map(Table::json).collect();
        let targets: Vec<Value> = self.section.targets.iter().map(Target::json).collect();
        let values = json!({ "how": self.heading, "load": load, "tables": tables, "targets": targets });
        std::fs::create_dir_all(out).expect("the directory of the report can be made");
        std::fs::write(out.join("store.md"), text).expect("the report can be written");
        std::fs::write(out.join("store.json"), format!("{values:#}\n")).expect("the report can be written");
        println!("{load}\nwrote {} and store.json", out.join("store.md").display());
    }
}

impl Table {
    fn markdown(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut text = format!("## {}\n\n{}\n\n| | {} |\n|---|", self.title, self.note, names.join(" | "));
        text.extend(self.columns.iter().map(|_| "---:|"));
        text.push('\n');
        for (name, values) in &self.rows {
            let shown = values.iter().zip(&self.columns).map(|(value, column)| {
                value.as_ref().map_or(String::new(), |series| shown(series.median(), column.decimals))
            });
            let cells: Vec<String> = shown.collect();
            // Writing to a text cannot fail.
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text
    }

    fn json(&self) -> Value {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let row = |(name, values): &(String, Vec<Option<Series>>)| {
            let rounds: Vec<_> = values.iter().map(|value| value.as_ref().map(Series::rounds)).collect();
            json!({ "name": name, "rounds": rounds })
        };
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        json!({ "title": self.title, "note": self.note, "columns": columns, "rows": rows })
    }
}

impl Target {
    fn words(&self) -> String {
        match self.limit {
            Limit::AtLeast(limit) => format!("≥ {}", shown(limit, if limit < 10.0 { 2 } else { 0 })),
            Limit::AtMost(limit) => format!("≤ {}", shown(limit, if limit < 10.0 { 2 } else { 0 })),
        }
    }

    fn met(&self) -> bool {
        let median = self.measured.median();
        match self.limit {
            Limit::AtLeast(limit) => median >= limit,
            Limit::AtMost(limit) => median <= limit,
        }
    }

    fn json(&self) -> Value {
        json!({ "what": self.what, "target": self.words(), "met": self.met(), "rounds": self.measured.rounds() })
    }
}

fn targets_markdown(targets: &[Target]) -> String {
    if targets.is_empty() {
        return String::new();
    }
    let mut text =
        "## Against the targets\n\n| what | target | measured | lowest to highest round | |\n".to_owned();
    text.push_str("|---|---|---:|---|---|\n");
    for target in targets {
        let Target { what, measured, .. } = target;
        let (lowest, highest) = (shown(measured.lowest(), 2), shown(measured.highest(), 2));
        let verdict = if target.met() { "met" } else { "missed" };
        let (words, median) = (target.words(), shown(measured.median(), 2));
        let _ = writeln!(text, "| {what} | {words} | {median} | {lowest} to {highest} | {verdict} |");
    }
    text
}

/// A figure with its thousands apart.
fn shown(figure: f64, decimals: usize) -> String {
    let decimals = if figure.abs() >= 10_000.0 { 0 } else { decimals };
    let plain = format!("{figure:.decimals$}");
    let (whole, rest) = plain
        .split_once('.')
        .map_or((plain.as_str(), String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut apart = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 && whole.len() > 4 {
            apart.push(' ');
        }
        apart.push(digit);
    }
    apart + &rest
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_for_people() {
        assert_eq!(shown(1_234_567.8, 1), "1 234 568");
        assert_eq!(shown(9876.54, 1), "9876.5");
        assert_eq!(shown(0.123, 2), "0.12");
    }

    #[test]
    fn a_target_is_judged_by_its_median() {
        let measured: Series = [1.0, 3.0, 2.0].into_iter().collect();
        let target = |limit| Target { what: String::new(), limit, measured: measured.clone() };
        assert!(target(Limit::AtLeast(2.0)).met() && target(Limit::AtMost(2.0)).met());
        assert!(!target(Limit::AtLeast(2.1)).met() && !target(Limit::AtMost(1.9)).met());
    }
}

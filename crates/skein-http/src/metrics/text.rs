//! Writing the text format of Prometheus, version 0.0.4.

use std::fmt::{self, Write as _};

use super::names::Metric;

/// What the format is called in Content-Type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A figure.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Count(u64),
    Signed(i64),
    Real(f64),
}

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// A metric without labels.
    pub(super) fn one(&mut self, metric: &Metric, value: impl Into<Value>) {
        self.labelled(metric, [([], value.into())]);
    }

    /// A metric with a sample for each set of values of its labels. All samples of a metric stand together, as the
    /// format asks for.
    pub(super) fn labelled<'v, const N: usize>(
        &mut self,
        metric: &Metric,
        samples: impl IntoIterator<Item = ([&'v str; N], Value)>,
    ) {
        assert!(metric.labels.len() == N, "{} has the labels {:?}", metric.name, metric.labels);
        self.write(format_args!(
            "# HELP {} {}\n# TYPE {} {}\n",
            metric.name,
            Escaped(metric.help),
            metric.name,
            metric.kind.name()
        ));
        for (values, value) in samples {
            self.write(format_args!("{}", metric.name));
            for (at, (label, text)) in metric.labels.iter().zip(values).enumerate() {
                let before = if at == 0 { '{' } else { ',' };
                self.write(format_args!("{before}{label}=\"{}\"", Escaped(text)));
            }
            if N > 0 {
                self.text.push('}');
            }
            self.write(format_args!(" {value}\n"));
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, arguments: fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("writing into memory does not fail");
    }
}

/// Text with what would end a label's value or the line written as the format says. In a help text a quote need not be
/// escaped; the names file has none there.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Count(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Count(value as u64)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::names::Kind, *};

    #[test]
    fn samples_as_the_format_writes_them() {
        let plain = Metric { name: "skein_a_total", kind: Kind::Counter, labels: &[], help: "What a\\b is." };
        let labelled = Metric { name: "skein_b", kind: Kind::Gauge, labels: &["x", "y"], help: "B." };
        let mut out = Exposition::default();
        out.one(&plain, 7_u64);
        out.labelled(&labelled, [(["1", "a\"b\\c\nd"], Value::Signed(-1)), (["2", "é"], Value::Real(0.5))]);
        out.labelled::<2>(&labelled, []);
        let expect = "# HELP skein_a_total What a\\\\b is.\n# TYPE skein_a_total counter\nskein_a_total 7\n\
            # HELP skein_b B.\n# TYPE skein_b gauge\n\
            skein_b{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} -1\nskein_b{x=\"2\",y=\"é\"} 0.5\n\
            # HELP skein_b B.\n# TYPE skein_b gauge\n";
        assert_eq!(out.into_text(), expect);
    }
}

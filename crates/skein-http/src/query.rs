//! Reading the query of a request, so that every fault names the parameter and what it may be.

use std::{ops::RangeInclusive, str::FromStr};

use axum::{extract::Query, http::Uri};

use crate::problem::{Kind, Problem};

/// The parameters of one request. Those that are left when all known ones were taken are faults.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => {
                Err(bad(format!("the query cannot be read: {}", error.body_text()), "name=value&name=value"))
            }
        }
    }

    /// Takes the text of a parameter out.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.0.remove(at);
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(bad(format!("parameter {name} is there more than once"), "send it once"));
        }
        Ok(Some(value))
    }

    /// Takes a number out.
    pub(crate) fn take_number<N>(
        &mut self,
        name: &str,
        range: &RangeInclusive<N>,
        default: N,
    ) -> Result<N, Problem>
    where
        N: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.take(name)? else { return Ok(default) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(bad(
                format!("parameter {name} is {text:?}"),
                format!(
                    "send a whole number from {} to {}, or leave it out for {default}",
                    range.start(),
                    range.end()
                ),
            )),
        }
    }

    /// Refuses whatever is left: a misspelt parameter must not be taken for its default.
    pub(crate) fn finish(self, known: &[&str]) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(bad(
                format!("there is no parameter {name:?}"),
                format!("known are: {}", known.join(", ")),
            )),
        }
    }
}

fn bad(error: String, hint: impl Into<String>) -> Problem {
    Problem::new(Kind::BadParameter, error, hint)
}

//! Listings come a page at a time: which page is wanted, and the page itself.

use axum::http::Uri;
use serde::Serialize;

use crate::{problem::Problem, query::Parameters};

const PAGE_SIZE_DEFAULT: usize = 20;
const PAGE_SIZE_MAX: usize = 100;

/// One page of a listing.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: usize,
    pub(crate) page: usize,
    pub(crate) page_size: usize,
}

/// The page that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageWanted {
    page: usize,
    page_size: usize,
}

impl PageWanted {
    /// Reads the query: the parameters of pages, and those that `more` takes out, whose names are `names`.
    pub(crate) fn with<T>(
        uri: &Uri,
        names: &[&str],
        more: impl FnOnce(&mut Parameters) -> Result<T, Problem>,
    ) -> Result<(Self, T), Problem> {
        let mut parameters = Parameters::of(uri)?;
        let wanted = Self {
            page: parameters.take_number("page", &(1..=usize::MAX), 1)?,
            page_size: parameters.take_number("page_size", &(1..=PAGE_SIZE_MAX), PAGE_SIZE_DEFAULT)?,
        };
        let taken = more(&mut parameters)?;
        parameters.finish(&[&["page", "page_size"], names].concat())?;
        Ok((wanted, taken))
    }

    /// Things before the page.
    pub(crate) fn skip(self) -> usize {
        self.page_size.saturating_mul(self.page.saturating_sub(1))
    }

    /// Things on the page.
    pub(crate) fn count(self) -> usize {
        self.page_size
    }

    /// The page of all that was `found`, in an order; only what is on it is shown.
    pub(crate) fn of<F: Ord, T>(self, mut found: Vec<F>, show: impl FnMut(&F) -> T) -> Page<T> {
        let total = found.len();
        let end = self.skip().saturating_add(self.page_size);
        if end < total {
            // Sorting everything for the first pages of a large node would cost far more than finding what is on them.
            found.select_nth_unstable(end);
            found.truncate(end);
        }
        found.sort_unstable();
        let items = found.iter().skip(self.skip()).take(self.page_size).map(show).collect();
        self.filled(items, total)
    }

    /// The page with these things on it.
    pub(crate) fn filled<T>(self, items: Vec<T>, total: usize) -> Page<T> {
        Page { items, total, page: self.page, page_size: self.page_size }
    }
}

//! SPDX licence expressions: names with `AND`, `OR`, `WITH` and parentheses; a slash is an old way to write `OR`.

/// Whether one may take the package under allowed licences only. What cannot be read is not allowed.
pub(super) fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, allowed };
    reader.any() == Some(true) && reader.words.is_empty()
}

struct Reader<'w> {
    words: &'w [&'w str],
    allowed: &'w [String],
}

impl<'w> Reader<'w> {
    fn any(&mut self) -> Option<bool> {
        let mut result = self.all()?;
        while self.skip("OR") {
            result |= self.all()?;
        }
        Some(result)
    }

    fn all(&mut self) -> Option<bool> {
        let mut result = self.one()?;
        while self.skip("AND") {
            result &= self.one()?;
        }
        Some(result)
    }

    fn one(&mut self) -> Option<bool> {
        if self.skip("(") {
            let inner = self.any()?;
            return self.skip(")").then_some(inner);
        }
        let mut name = self.word().filter(|word| !["AND", "OR", "WITH", ")"].contains(word))?.to_owned();
        if self.skip("WITH") {
            name = format!("{name} WITH {}", self.word()?);
        }
        // An exception only adds to what the licence permits, as "or any later version" does.
        let licence = name.split(" WITH ").next().unwrap_or_default().trim_end_matches('+');
        Some(self.allowed.iter().any(|allowed| *allowed == name || allowed == licence))
    }

    fn word(&mut self) -> Option<&'w str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn skip(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.word();
        }
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_expressions() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
        for fine in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "Apache-2.0+",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Zlib",
        ] {
            assert!(is_allowed(fine, &allowed), "{fine}");
        }
        for bad in
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-3.0", "MIT GPL-3.0", "MIT OR", "OR", "MIT )"]
        {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
        assert!(is_allowed("GPL-3.0 AND Zlib OR MIT", &allowed), "AND binds more than OR");
    }
}

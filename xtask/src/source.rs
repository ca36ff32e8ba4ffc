//! A Rust file as the tidy rules see it: code without comments and literals, comments, and where
//! its tests are.
//!
//! This is a scanner, not a parser: it knows strings, characters, comments and braces, which is
//! enough to keep a word in a string from being taken for code.

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) path: &'a str,
    /// Whether the file's first line is a line of its module document.
    pub(crate) opens_with_document: bool,
    /// The lines of the file with comments and the content of literals left out.
    pub(crate) code: Vec<String>,
    /// The text of the comments, on the lines where they stand.
    pub(crate) comments: Vec<String>,
    /// For each line whether it belongs to tests.
    pub(crate) is_test: Vec<bool>,
}

impl<'a> Source<'a> {
    pub(crate) fn read(path: &'a str, text: &'a str) -> Self {
        let (code, comments) = split(text);
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (code, comments) = (lines(code), lines(comments));
        let is_test = if is_test_file(path) { vec![true; code.len()] } else { test_lines(&code) };
        Self { path, opens_with_document: text.starts_with("//! "), code, comments, is_test }
    }

    /// Line number (from 1), code and whether it is test code.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        self.code
            .iter()
            .zip(&self.is_test)
            .enumerate()
            .map(|(at, (code, is_test))| (at + 1, code.as_str(), *is_test))
    }
}

/// Files that hold nothing but tests; the test kit is one large helper of tests.
fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs") || path.starts_with("crates/skein-testkit/")
}

/// Marks the items that follow `#[cfg(test)]`, up to the closing brace or semicolon.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut marks = Vec::with_capacity(code.len());
    let mut inside = false;
    let mut depth = 0_i32;
    let mut opened = false;
    for line in code {
        if !inside && line.trim_start().starts_with("#[cfg(test)]") {
            (inside, depth, opened) = (true, 0, false);
        }
        marks.push(inside);
        if inside {
            for character in line.chars() {
                match character {
                    '{' => {
                        depth += 1;
                        opened = true;
                    }
                    '}' => depth -= 1,
                    _ => {}
                }
            }
            let ends_without_body = !opened && line.trim_end().ends_with(';');
            inside = !(ends_without_body || opened && depth <= 0);
        }
    }
    marks
}

/// The code of the text with literals emptied, and its comments; line ends stay where they are.
fn split(text: &str) -> (String, String) {
    let mut scanner = Scanner { rest: text, out: String::with_capacity(text.len()), comments: String::new() };
    while scanner.step() {}
    (scanner.out, scanner.comments)
}

struct Scanner<'a> {
    rest: &'a str,
    out: String,
    comments: String,
}

impl Scanner<'_> {
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else { return false };
        if self.rest.starts_with("//") {
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.comment(end);
        } else if self.rest.starts_with("/*") {
            self.block_comment();
        } else if let Some(hashes) = self.raw_string_hashes() {
            let opening = self.rest.find('"').unwrap_or_default() + 1;
            self.drop_to(opening);
            let close = format!("\"{}", "#".repeat(hashes));
            let end = self.rest.find(&close).map_or(self.rest.len(), |at| at + close.len());
            self.drop_to(end);
            self.out.push_str("\"\"");
        } else if first == '"' {
            self.string();
        } else if let Some(length) = self.character_length() {
            self.drop_to(length);
            self.out.push_str("' '");
        } else {
            self.out.push(first);
            if first == '\n' {
                self.comments.push(first);
            }
            self.rest = self.rest.get(first.len_utf8()..).unwrap_or_default();
        }
        true
    }

    /// Leaves out the next `length` bytes, except their line ends.
    fn drop_to(&mut self, length: usize) {
        let (dropped, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        for line_end in dropped.chars().filter(|character| *character == '\n') {
            self.out.push(line_end);
            self.comments.push(line_end);
        }
        self.rest = rest;
    }

    fn comment(&mut self, length: usize) {
        let (comment, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.out.extend(comment.chars().filter(|character| *character == '\n'));
        self.comments.push_str(comment);
        self.rest = rest;
    }

    fn block_comment(&mut self) {
        let mut depth = 0_u32;
        let mut at = 0;
        while let Some(here) = self.rest.get(at..).filter(|here| !here.is_empty()) {
            if here.starts_with("/*") {
                depth += 1;
                at += 2;
            } else if here.starts_with("*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                at += here.chars().next().map_or(1, char::len_utf8);
            }
        }
        self.comment(at);
    }

    /// The number of `#` when a raw string begins here.
    fn raw_string_hashes(&self) -> Option<usize> {
        // `br"` and the end of an identifier such as `for"` differ by what stands before.
        let follows_word =
            self.out.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_');
        let start = self.rest.strip_prefix('r').or_else(|| self.rest.strip_prefix("br"))?;
        let after = start.trim_start_matches('#');
        (!follows_word && after.starts_with('"')).then(|| start.len() - after.len())
    }

    fn string(&mut self) {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, character)| {
            let closes = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            closes
        });
        self.drop_to(end.map_or(self.rest.len(), |(at, _)| at + 1));
        self.out.push_str("\"\"");
    }

    /// The length of a character literal that begins here; a lifetime is none.
    fn character_length(&self) -> Option<usize> {
        let content = self.rest.strip_prefix('\'')?;
        if content.starts_with('\\') {
            // The escaped character may itself be a quote.
            let close = content.get(2..)?.find('\'')?;
            return Some(1 + 2 + close + 1);
        }
        let first = content.chars().next()?.len_utf8();
        content.get(first..)?.starts_with('\'').then_some(1 + first + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_comments_and_literals() {
        let text = "let a = \"todo!()\"; // todo!()\nlet b = r#\"x \" todo!()\"#; /* a /* b */ todo!() */ c('\\'', '\"', b'x', 'a');";
        let (stripped, comments) = split(text);
        assert!(!stripped.contains("todo"), "{stripped}");
        assert!(stripped.ends_with("c(' ', ' ', b' ', ' ');"), "{stripped}");
        assert_eq!(stripped.lines().count(), 2);
        assert_eq!(comments, "// todo!()\n/* a /* b */ todo!() */");
    }

    #[test]
    fn keeps_lifetimes_and_lines() {
        assert_eq!(
            split("fn f<'a>(x: &'a str) -> &'a str { x }"),
            ("fn f<'a>(x: &'a str) -> &'a str { x }".to_owned(), String::new())
        );
        assert_eq!(split("a \"one\ntwo\" b\n/* x\ny */c").0, "a \n\"\" b\n\nc");
        assert_eq!(split("\"\\\"\" x").0, "\"\" x");
    }

    #[test]
    fn finds_the_test_module() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
        let source = Source::read("crates/x/src/a.rs", text);
        assert_eq!(source.is_test, [false, true, true, true, true, false, true, true, false]);
        assert!(Source::read("crates/x/tests/a.rs", text).is_test.iter().all(|mark| *mark));
    }
}

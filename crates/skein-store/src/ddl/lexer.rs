//! From DDL text to tokens with their places. Comments and white space end here.

use std::iter::Peekable;
use std::str::Chars;

use super::{DdlFaults, Position};

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: Position,
    pub(super) kind: TokenKind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A word: a name, a type or a part of the language, which the parser tells apart by where it stands.
    Word(String),
    /// Something that begins as a number does.
    Number(String),
    /// Text in quotes, with its escapes resolved.
    Text(String),
    /// Bytes in hexadecimal, `x"00ff"`.
    Hex(Vec<u8>),
    /// A sign.
    Sign(char),
    /// The end of the text.
    End,
}

/// The tokens of `text`; the last one is the end.
pub(super) fn tokens(text: &str, faults: &mut DdlFaults) -> Vec<Token> {
    let mut lexer = Lexer { rest: text.chars().peekable(), at: Position::START, faults };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let at = lexer.at;
        let Some(first) = lexer.rest.peek().copied() else {
            tokens.push(Token { at, kind: TokenKind::End });
            return tokens;
        };
        if let Some(kind) = lexer.token(first, at) {
            tokens.push(Token { at, kind });
        }
    }
}

struct Lexer<'a> {
    rest: Peekable<Chars<'a>>,
    at: Position,
    faults: &'a mut DdlFaults,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next()?;
        if letter == '\n' {
            self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(letter)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let letter = *self.rest.peek()?;
        if wanted(letter) { self.next() } else { None }
    }

    fn token(&mut self, first: char, at: Position) -> Option<TokenKind> {
        if is_word_letter(first) && !first.is_ascii_digit() {
            let word = self.take_while(is_word_letter);
            if word == "x" && self.rest.peek() == Some(&'"') {
                return self.hex(at);
            }
            return Some(TokenKind::Word(word));
        }
        if first.is_ascii_digit() || first == '-' {
            return Some(TokenKind::Number(self.number()));
        }
        self.next();
        match first {
            '"' => self.text(at).map(TokenKind::Text),
            '{' | '}' | '<' | '>' | '[' | ']' | ';' | ',' | '=' | '(' | ')' | ':' => {
                Some(TokenKind::Sign(first))
            }
            other => {
                self.faults.add(at, format!("{other:?} has no meaning here: remove it"));
                None
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(letter) = self.next_if(&wanted) {
            taken.push(letter);
        }
        taken
    }

    fn number(&mut self) -> String {
        let mut number = String::new();
        number.extend(self.next());
        loop {
            let after_exponent = number.ends_with(['e', 'E']);
            let wanted = |letter: char| {
                is_word_letter(letter) || letter == '.' || (after_exponent && matches!(letter, '-' | '+'))
            };
            match self.next_if(wanted) {
                Some(letter) => number.push(letter),
                None => return number,
            }
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            while self.next_if(char::is_whitespace).is_some() {}
            let mut ahead = self.rest.clone();
            match (ahead.next(), ahead.next()) {
                (Some('/'), Some('/')) => while self.next_if(|letter| letter != '\n').is_some() {},
                (Some('/'), Some('*')) => self.skip_long_comment(),
                _ => return,
            }
        }
    }

    fn skip_long_comment(&mut self) {
        let at = self.at;
        self.next();
        self.next();
        let mut last = ' ';
        while let Some(letter) = self.next() {
            if last == '*' && letter == '/' {
                return;
            }
            last = letter;
        }
        self.faults.add(at, "this comment does not end: close it with */");
    }

    /// The text after an opening quote.
    fn text(&mut self, at: Position) -> Option<String> {
        let mut text = String::new();
        loop {
            let here = self.at;
            match self.next() {
                Some('"') => return Some(text),
                Some('\\') => match self.escape() {
                    Some(letter) => text.push(letter),
                    None => self.faults.add(
                        here,
                        "unknown escape: use \\\" \\\\ \\n \\r \\t or \\u{..} with a character's number in hexadecimal",
                    ),
                },
                Some('\n') | None => {
                    self.faults.add(at, "this text does not end on its line: close it with \"");
                    return None;
                }
                Some(letter) => text.push(letter),
            }
        }
    }

    /// The character after a backslash.
    fn escape(&mut self) -> Option<char> {
        match self.next_if(|letter| letter != '\n')? {
            '"' => Some('"'),
            '\\' => Some('\\'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                self.next_if(|letter| letter == '{')?;
                let digits = self.take_while(|letter| letter.is_ascii_hexdigit());
                self.next_if(|letter| letter == '}')?;
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
            }
            _ => None,
        }
    }

    /// The bytes after `x`.
    fn hex(&mut self, at: Position) -> Option<TokenKind> {
        self.next();
        let text = self.text(at)?;
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let bytes = digits.filter(|digits| digits.len().is_multiple_of(2)).map(|digits| {
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
        });
        if bytes.is_none() {
            self.faults.add(at, "bytes are written as pairs of hexadecimal digits: x\"00ff\"");
        }
        // The token stands in either case, so that its place is not a second fault.
        Some(TokenKind::Hex(bytes.unwrap_or_default()))
    }
}

fn is_word_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

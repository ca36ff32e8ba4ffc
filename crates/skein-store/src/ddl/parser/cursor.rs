//! Moving through the tokens: what comes next, what was expected instead, and where to go on after a fault.

use super::super::lexer::{Token, TokenKind};
use super::super::{Position, Word};
use super::{Lost, Parsed, Parser};

const END: &Token = &Token { at: Position::START, kind: TokenKind::End };

impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.next).unwrap_or(END)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().kind == TokenKind::End
    }

    /// The next token, which is passed unless it is the end.
    pub(super) fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if token.kind != TokenKind::End {
            self.next = self.next.saturating_add(1);
        }
        token
    }

    pub(super) fn take_sign(&mut self, sign: char) -> bool {
        let is_next = self.peek().kind == TokenKind::Sign(sign);
        if is_next {
            self.advance();
        }
        is_next
    }

    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        let is_next = matches!(&self.peek().kind, TokenKind::Word(word) if word == wanted);
        if is_next {
            self.advance();
        }
        is_next
    }

    pub(super) fn sign(&mut self, sign: char) -> Parsed<()> {
        if self.take_sign(sign) { Ok(()) } else { self.unexpected(&format!("`{sign}`")) }
    }

    pub(super) fn word(&mut self, what: &str) -> Parsed<Word> {
        match &self.peek().kind {
            TokenKind::Word(word) => {
                let word = Word { text: word.clone(), at: self.peek().at };
                self.advance();
                Ok(word)
            }
            _ => self.unexpected(what),
        }
    }

    pub(super) fn unexpected<T>(&mut self, expected: &str) -> Parsed<T> {
        let token = self.peek();
        let found = match &token.kind {
            TokenKind::Word(text) | TokenKind::Number(text) => format!("`{text}`"),
            TokenKind::Text(_) => "text".to_owned(),
            TokenKind::Hex(_) => "bytes".to_owned(),
            TokenKind::Sign(sign) => format!("`{sign}`"),
            TokenKind::End => "the end of the text".to_owned(),
        };
        let at = token.at;
        self.fault(at, format!("expected {expected}, found {found}"))
    }

    pub(super) fn fault<T>(&mut self, at: Position, text: impl Into<String>) -> Parsed<T> {
        self.faults.add(at, text);
        Err(Lost)
    }

    /// Goes on behind the next semicolon, or before the brace that ends the class.
    pub(super) fn recover_member(&mut self) {
        loop {
            match self.peek().kind {
                TokenKind::End | TokenKind::Sign('}') => return,
                TokenKind::Sign(';') => {
                    self.advance();
                    return;
                }
                TokenKind::Sign('{') => self.skip_braces(),
                _ => {
                    self.advance();
                }
            }
        }
    }

    /// Goes on behind the next semicolon or block.
    pub(super) fn recover_item(&mut self) {
        loop {
            match self.peek().kind {
                TokenKind::End => return,
                TokenKind::Sign('{') => return self.skip_braces(),
                TokenKind::Sign(';' | '}') => {
                    self.advance();
                    return;
                }
                _ => {
                    self.advance();
                }
            }
        }
    }

    pub(super) fn skip_braces(&mut self) {
        let mut open = 0usize;
        loop {
            match self.advance().kind {
                TokenKind::Sign('{') => open = open.saturating_add(1),
                TokenKind::Sign('}') => open = open.saturating_sub(1),
                TokenKind::End => return,
                _ => continue,
            }
            if open == 0 {
                return;
            }
        }
    }
}

//! From tokens to declarations.
//!
//! Words of the language are told from names by where they stand, so any name may be used anywhere. After a fault the
//! parser goes on behind the next semicolon or closing brace.

mod cursor;

use super::lexer::{Token, TokenKind};
use super::literal::literal;
use super::type_name::{TYPE_NAMES, TypeName, type_name};
use super::{DdlFaults, Position, Word};
use crate::schema::{ClassKind, IndexShape};
use crate::value::{TYPE_DEPTH_MAX, Type, Value};

/// What a text declares.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) database: Option<Word>,
    pub(super) classes: Vec<DeclaredClass>,
    pub(super) end: Option<Position>,
}

/// A class as it was written.
#[derive(Debug)]
pub(super) struct DeclaredClass {
    pub(super) name: Word,
    pub(super) code: Option<u16>,
    pub(super) kind: ClassKind,
    pub(super) fields: Vec<DeclaredField>,
    pub(super) keys: Vec<DeclaredKey>,
    /// A field or key could not be read: what seems to be missing may be in it.
    pub(super) is_incomplete: bool,
}

/// A field as it was written.
#[derive(Debug)]
pub(super) struct DeclaredField {
    pub(super) name: Word,
    pub(super) field_type: Type,
    pub(super) default: Option<Value>,
    pub(super) auto: bool,
}

/// A key as it was written.
#[derive(Debug)]
pub(super) struct DeclaredKey {
    pub(super) name: Word,
    pub(super) fields: Vec<Word>,
    pub(super) shape: IndexShape,
    pub(super) unique: bool,
    pub(super) voluntary: Option<Position>,
}

/// A fault was noted; the parser looks for a place to go on.
struct Lost;

type Parsed<T> = Result<T, Lost>;

pub(super) fn parse(tokens: Vec<Token>, faults: &mut DdlFaults) -> Declared {
    let mut parser = Parser { tokens: tokens.into_iter().collect(), next: 0, faults };
    let mut declared = Declared::default();
    while !parser.is_at_end() && !parser.faults.is_full() {
        if parser.item(&mut declared).is_err() {
            parser.recover_item();
        }
    }
    declared.end = parser.tokens.last().map(|token| token.at);
    declared
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    faults: &'a mut DdlFaults,
}

impl Parser<'_> {
    fn item(&mut self, declared: &mut Declared) -> Parsed<()> {
        // A semicolon behind a class is customary in some texts.
        if self.take_sign(';') {
            return Ok(());
        }
        if self.take_word("declare") {
            return self.database(declared);
        }
        let mut kind = None;
        loop {
            let word = self.word("a class or `declare database`")?;
            let found = match word.text.as_str() {
                "class" => break,
                "replicated" => ClassKind::Replicated,
                "distributed" => ClassKind::Distributed,
                "local" => ClassKind::Local,
                // Rows have no unused space to save.
                "compact" => continue,
                "persistent" | "transient" => {
                    let text =
                        "durability is chosen when the store is opened, not for a class: remove the word";
                    self.faults.add(word.at, format!("`{}`: {text}", word.text));
                    continue;
                }
                other => {
                    let text = match type_name(other) {
                        TypeName::Foreign(why) => format!("`{other}`: {why}"),
                        _ => format!("expected a class or `declare database`, found `{other}`"),
                    };
                    return self.fault(word.at, text);
                }
            };
            if kind.replace(found).is_some() {
                self.faults.add(word.at, "a class has one kind: remove the others");
            }
        }
        let class = self.class(kind.unwrap_or_default())?;
        declared.classes.push(class);
        Ok(())
    }

    fn database(&mut self, declared: &mut Declared) -> Parsed<()> {
        let what = self.word("`database`")?;
        match what.text.as_str() {
            "database" => {}
            "oid" | "auto_oid" => {
                let text = "objects have no identity beside their primary key: remove this line";
                return self.fault(what.at, format!("`declare {}`: {text}", what.text));
            }
            other => return self.fault(what.at, format!("expected `database`, found `{other}`")),
        }
        let name = self.word("the name of the database")?;
        if declared.database.is_some() {
            self.faults.add(name.at, "the database is declared twice: remove one declaration");
        }
        declared.database = Some(name);
        self.sign(';')
    }

    fn class(&mut self, kind: ClassKind) -> Parsed<DeclaredClass> {
        let name = self.word("the name of the class")?;
        let code = if self.take_sign('=') { self.class_code() } else { None };
        self.sign('{')?;
        let mut class =
            DeclaredClass { name, code, kind, fields: Vec::new(), keys: Vec::new(), is_incomplete: false };
        while !self.take_sign('}') {
            if self.is_at_end() {
                let text = format!("class {} does not end: close it with }}", class.name.text);
                return self.fault(self.peek().at, text);
            }
            if self.faults.is_full() {
                return Err(Lost);
            }
            if self.member(&mut class).is_err() {
                class.is_incomplete = true;
                self.recover_member();
            }
        }
        Ok(class)
    }

    fn class_code(&mut self) -> Option<u16> {
        let token = self.advance();
        let code = match &token.kind {
            TokenKind::Number(number) => number.parse().ok().filter(|code| *code != 0),
            _ => None,
        };
        if code.is_none() {
            self.faults.add(token.at, "a class code is a number from 1 to 65535");
        }
        code
    }

    fn member(&mut self, class: &mut DeclaredClass) -> Parsed<()> {
        let (at, word) = match &self.peek().kind {
            TokenKind::Word(word) => (self.peek().at, word.clone()),
            _ => return self.unexpected("a field or a key"),
        };
        match word.as_str() {
            "autoid" => self.auto(class),
            "unique" | "nonunique" | "voluntary" | "tree" | "hash" => {
                let key = self.key()?;
                class.keys.push(key);
                Ok(())
            }
            _ => match missing_feature(&word) {
                Some(why) => self.fault(at, format!("`{word}`: {why}")),
                None => {
                    let field = self.field()?;
                    class.fields.push(field);
                    Ok(())
                }
            },
        }
    }

    /// `autoid name;` where the field stands, or `autoid[1000];` for a first field called `autoid`.
    fn auto(&mut self, class: &mut DeclaredClass) -> Parsed<()> {
        let at = self.advance().at;
        let mut field = DeclaredField {
            name: Word { text: "autoid".to_owned(), at },
            field_type: Type::U64,
            default: None,
            auto: true,
        };
        let is_named = matches!(self.peek().kind, TokenKind::Word(_));
        if is_named {
            field.name = self.word("a name")?;
        }
        self.size_hint()?;
        self.sign(';')?;
        let place = if is_named { class.fields.len() } else { 0 };
        class.fields.insert(place, field);
        Ok(())
    }

    fn key(&mut self) -> Parsed<DeclaredKey> {
        let (mut unique, mut voluntary) = (false, None);
        let shape = loop {
            let word = self.word("`tree` or `hash`")?;
            match word.text.as_str() {
                "unique" => unique = true,
                "nonunique" => unique = false,
                "voluntary" => voluntary = Some(word.at),
                "tree" => break IndexShape::Ordered,
                "hash" => break IndexShape::Hash,
                other => {
                    let text = match missing_feature(other) {
                        Some(why) => format!("`{other}`: {why}"),
                        None => format!("expected `tree` or `hash`, found `{other}`"),
                    };
                    return self.fault(word.at, text);
                }
            }
        };
        self.sign('<')?;
        let fields = self.key_fields()?;
        self.size_hint()?;
        let name = self.word("the name of the key")?;
        self.size_hint()?;
        self.sign(';')?;
        Ok(DeclaredKey { name, fields, shape, unique, voluntary })
    }

    /// The names up to the closing bracket.
    fn key_fields(&mut self) -> Parsed<Vec<Word>> {
        let mut fields = Vec::new();
        loop {
            fields.push(self.word("the name of a field")?);
            if let TokenKind::Word(order) = &self.peek().kind {
                let (order, at) = (order.clone(), self.peek().at);
                match order.as_str() {
                    "asc" => {}
                    "desc" => {
                        self.faults.add(at, "keys go upwards only: scan in reverse, and remove the word");
                    }
                    other => return self.fault(at, format!("expected `,` or `>`, found `{other}`")),
                }
                self.advance();
            }
            if self.take_sign('>') {
                return Ok(fields);
            }
            self.sign(',')?;
        }
    }

    /// `[1000]`: how many entries are expected. Indexes grow by themselves.
    fn size_hint(&mut self) -> Parsed<()> {
        if self.take_sign('[') {
            if !matches!(self.peek().kind, TokenKind::Number(_)) {
                return self.unexpected("the number of expected entries");
            }
            self.advance();
            self.sign(']')?;
        }
        Ok(())
    }

    fn field(&mut self) -> Parsed<DeclaredField> {
        let field_type = self.field_type(TYPE_DEPTH_MAX)?;
        let name = self.word("the name of the field")?;
        if self.peek().kind == TokenKind::Sign('[') {
            let text =
                format!("there are no arrays of fixed length: use vector<{field_type}> {};", name.text);
            return self.fault(self.peek().at, text);
        }
        let default = if self.take_sign('=') { self.default(&field_type)? } else { None };
        self.sign(';')?;
        Ok(DeclaredField { name, field_type, default, auto: false })
    }

    fn field_type(&mut self, depth: usize) -> Parsed<Type> {
        let word = self.word("a type")?;
        let inner_depth = match depth.checked_sub(1) {
            Some(inner_depth) => inner_depth,
            None => {
                let text = format!("at most {TYPE_DEPTH_MAX} types lie inside each other");
                return self.fault(word.at, text);
            }
        };
        match word.text.as_str() {
            "optional" | "nullable" => {
                let at = self.peek().at;
                let inner = self.field_type(inner_depth)?;
                if matches!(inner, Type::Optional(_)) {
                    return self.fault(at, "an optional cannot hold an optional: remove one");
                }
                return Ok(Type::Optional(Box::new(inner)));
            }
            "vector" => {
                self.sign('<')?;
                let inner = self.field_type(inner_depth)?;
                self.sign('>')?;
                return Ok(Type::Vector(Box::new(inner)));
            }
            _ => {}
        }
        match type_name(&word.text) {
            TypeName::Plain(plain) => {
                self.type_length(&plain)?;
                Ok(plain)
            }
            TypeName::Sized(sized) => {
                let at = self.peek().at;
                self.sign('<')?;
                let size = self.length()?;
                self.sign('>')?;
                let text = format!("{} numbers have 1, 2, 4 or 8 bytes: {}<4>", word.text, word.text);
                sized(size).map_or_else(|| self.fault(at, text), Ok)
            }
            TypeName::Foreign(why) => self.fault(word.at, format!("`{}`: {why}", word.text)),
            TypeName::Unknown => {
                let text = format!("`{}` is no type: use {TYPE_NAMES}", word.text);
                self.fault(word.at, text)
            }
        }
    }

    /// `<20>` behind text and bytes: the length they have in other databases. Here they have any length.
    fn type_length(&mut self, plain: &Type) -> Parsed<()> {
        if matches!(plain, Type::String | Type::Bytes) && self.take_sign('<') {
            self.length()?;
            self.sign('>')?;
        }
        Ok(())
    }

    fn length(&mut self) -> Parsed<u64> {
        let length = match &self.peek().kind {
            TokenKind::Number(number) => number.parse().ok(),
            _ => None,
        };
        let Some(length) = length else { return self.unexpected("a length") };
        self.advance();
        Ok(length)
    }

    fn default(&mut self, field_type: &Type) -> Parsed<Option<Value>> {
        let token = self.advance();
        if token.kind == TokenKind::Sign('[') && accepts_empty(field_type) {
            self.sign(']')?;
            return Ok(Some(Value::Vector(Vec::new())));
        }
        match literal(&token.kind, field_type) {
            Ok(value) => Ok(Some(value)),
            Err(expected) => {
                self.faults.add(token.at, expected);
                if token.kind == TokenKind::Sign(';') {
                    self.next = self.next.saturating_sub(1);
                }
                Ok(None)
            }
        }
    }
}

fn accepts_empty(field_type: &Type) -> bool {
    match field_type {
        Type::Vector(_) => true,
        Type::Optional(inner) => accepts_empty(inner),
        _ => false,
    }
}

/// What a feature of other databases is answered with, when it is one this store does not have.
fn missing_feature(word: &str) -> Option<&'static str> {
    Some(match word {
        "trie" => "there is no index by prefix of its own: a tree over a string serves prefix scans",
        "trigram" => "there is no index for parts of text: keep the parts as objects and index these",
        "rtree" | "kdtree" => {
            "there is no index over several dimensions: index one of them and filter the rest"
        }
        "userdef" => "keys are compared by their values only: keep the wanted order in a field of its own",
        "inclusive" => "objects with an absent field are not in the index: remove the word",
        "list" => "objects can always be scanned in the order of their primary key: remove this line",
        "event" => "changes are followed through the store's change feed: remove this line",
        "oid" => "objects have no identity beside their primary key: declare a unique tree or an autoid",
        _ => return None,
    })
}

//! Tokens to a query, by recursive descent.

use serde_json::Value;

use crate::QueryError;
use crate::syntax::{
    Comparison, Expression, From, Function, Item, Operand, Path, Query, Select, What,
};
use crate::token::{Kind, Token, tokens};

/// Bytes of a query's text. Source: `iot-hub` §13.1, 8192 characters.
pub const TEXT_BYTES_MAX: usize = 8192;
/// Parentheses and negations within one another. Source: ours; bounds the stack.
pub const NESTING_MAX: usize = 32;

/// Words that end what stands before them, and so are no alias.
const CLAUSES: [&str; 12] =
    ["from", "where", "group", "order", "having", "join", "and", "or", "not", "in", "nin", "union"];

/// Parses the text of a query; keywords are of either case.
///
/// # Errors
/// [`QueryError`] for a text that is not wholly understood.
pub fn parse(text: &str) -> Result<Query, QueryError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(QueryError::TooLong { bytes_max: TEXT_BYTES_MAX });
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, end: text.len(), depth: 0 };
    let mut query = parser.query()?;
    if let Some(word) = parser.word() {
        let named = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        if named(&["order"]) {
            return Err(QueryError::Unsupported { what: "ORDER BY" });
        }
        if named(&["join", "union", "having"]) {
            return Err(QueryError::Unsupported { what: "JOIN, UNION or HAVING" });
        }
    }
    if !parser.tokens.is_empty() {
        return Err(parser.expected("the end"));
    }
    strip_row_name(&mut query);
    judge(&query)?;
    Ok(query)
}

struct Parser<'t> {
    /// What is not read yet.
    tokens: &'t [Token],
    /// The length of the text.
    end: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Kind> {
        self.tokens.first().map(|token| &token.kind)
    }

    fn word(&self) -> Option<&'t str> {
        match self.peek() {
            Some(Kind::Word(word)) => Some(word),
            Some(Kind::Name(_) | Kind::Literal(_) | Kind::Symbol(_)) | None => None,
        }
    }

    fn advance(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    fn expected(&self, what: &'static str) -> QueryError {
        QueryError::Expected { at: self.tokens.first().map_or(self.end, |token| token.at), what }
    }

    /// Reads a keyword if it is there.
    fn takes(&mut self, keyword: &str) -> bool {
        let there = self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword));
        if there {
            self.advance();
        }
        there
    }

    fn takes_symbol(&mut self, symbol: &str) -> bool {
        let there = matches!(self.peek(), Some(Kind::Symbol(found)) if *found == symbol);
        if there {
            self.advance();
        }
        there
    }

    fn needs(&mut self, keyword: &'static str) -> Result<(), QueryError> {
        if self.takes(keyword) { Ok(()) } else { Err(self.expected(keyword)) }
    }

    fn needs_symbol(&mut self, symbol: &'static str) -> Result<(), QueryError> {
        if self.takes_symbol(symbol) { Ok(()) } else { Err(self.expected(symbol)) }
    }

    fn query(&mut self) -> Result<Query, QueryError> {
        self.needs("SELECT")?;
        if self.word().is_some_and(|word| word.eq_ignore_ascii_case("distinct")) {
            return Err(QueryError::Unsupported { what: "DISTINCT" });
        }
        let top = match self.takes("TOP") {
            true => Some(self.count()?),
            false => None,
        };
        let select = self.select()?;
        let from = match self.takes("FROM") {
            true => Some(self.from()?),
            false => None,
        };
        let filter = match self.takes("WHERE") {
            true => Some(self.expression()?),
            false => None,
        };
        let mut group_by = Vec::new();
        if self.takes("GROUP") {
            self.needs("BY")?;
            group_by.push(self.path()?);
            while self.takes_symbol(",") {
                group_by.push(self.path()?);
            }
        }
        Ok(Query { top, select, from, filter, group_by })
    }

    fn count(&mut self) -> Result<u64, QueryError> {
        let number = match self.peek() {
            Some(Kind::Literal(Value::Number(number))) => number.as_u64(),
            Some(Kind::Literal(_) | Kind::Word(_) | Kind::Name(_) | Kind::Symbol(_)) | None => None,
        };
        let count = number.ok_or_else(|| self.expected("a whole number"))?;
        self.advance();
        Ok(count)
    }

    fn select(&mut self) -> Result<Select, QueryError> {
        if self.takes_symbol("*") {
            return Ok(Select::All);
        }
        let mut items = vec![self.item()?];
        while self.takes_symbol(",") {
            items.push(self.item()?);
        }
        Ok(Select::Items(items))
    }

    fn item(&mut self) -> Result<Item, QueryError> {
        let what = match self.function() {
            Some(function) => {
                self.advance();
                self.advance();
                let path = match self.peek() {
                    Some(Kind::Symbol(")" | "*")) if function == Function::Count => {
                        self.takes_symbol("*");
                        None
                    }
                    _ => Some(self.path()?),
                };
                self.needs_symbol(")")?;
                What::Aggregate(function, path)
            }
            None => What::Path(self.path()?),
        };
        Ok(Item { what, alias: self.alias()? })
    }

    /// An aggregate function, if its name and a parenthesis come next.
    fn function(&self) -> Option<Function> {
        let opens = matches!(self.tokens.get(1), Some(Token { kind: Kind::Symbol("("), .. }));
        let word = self.word().filter(|_| opens)?;
        let known = [
            ("count", Function::Count),
            ("sum", Function::Sum),
            ("avg", Function::Avg),
            ("min", Function::Min),
            ("max", Function::Max),
        ];
        known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, found)| *found)
    }

    /// `AS name`, or the name alone.
    fn alias(&mut self) -> Result<Option<String>, QueryError> {
        if self.takes("AS") {
            return self.name().map(Some);
        }
        let is_clause = |word: &str| CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause));
        match self.word() {
            Some(word) if !is_clause(word) => self.name().map(Some),
            Some(_) | None => Ok(None),
        }
    }

    fn from(&mut self) -> Result<From, QueryError> {
        let collection = self.path()?.0.join(".");
        Ok(From { collection, alias: self.alias()? })
    }

    fn name(&mut self) -> Result<String, QueryError> {
        match self.peek() {
            Some(Kind::Word(name) | Kind::Name(name)) => {
                self.advance();
                Ok(name.clone())
            }
            Some(Kind::Literal(_) | Kind::Symbol(_)) | None => Err(self.expected("a name")),
        }
    }

    fn path(&mut self) -> Result<Path, QueryError> {
        let mut names = vec![self.name()?];
        while self.takes_symbol(".") {
            names.push(self.name()?);
        }
        if matches!(self.peek(), Some(Kind::Symbol("("))) {
            return Err(QueryError::Unsupported { what: "a function" });
        }
        Ok(Path(names))
    }

    fn expression(&mut self) -> Result<Expression, QueryError> {
        let first = self.conjunction()?;
        let mut any = vec![first];
        while self.takes("OR") {
            any.push(self.conjunction()?);
        }
        Ok(single(any, Expression::Or))
    }

    fn conjunction(&mut self) -> Result<Expression, QueryError> {
        let first = self.condition()?;
        let mut all = vec![first];
        while self.takes("AND") {
            all.push(self.condition()?);
        }
        Ok(single(all, Expression::And))
    }

    fn condition(&mut self) -> Result<Expression, QueryError> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(QueryError::TooDeep { levels: NESTING_MAX });
        }
        let condition = if self.takes("NOT") {
            Expression::Not(Box::new(self.condition()?))
        } else if self.takes_symbol("(") {
            let inner = self.expression()?;
            self.needs_symbol(")")?;
            inner
        } else if self.calls("is_defined") {
            self.advance();
            self.advance();
            let path = self.path()?;
            self.needs_symbol(")")?;
            Expression::IsDefined(path)
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn calls(&self, function: &str) -> bool {
        let opens = matches!(self.tokens.get(1), Some(Token { kind: Kind::Symbol("("), .. }));
        opens && self.word().is_some_and(|word| word.eq_ignore_ascii_case(function))
    }

    fn comparison(&mut self) -> Result<Expression, QueryError> {
        let left = self.operand()?;
        if let Operand::Path(path) = &left {
            if self.takes("IN") {
                return Ok(Expression::In(path.clone(), self.list()?));
            }
            let is_nin = self.takes("NIN");
            if is_nin || self.takes("NOT") {
                if !is_nin {
                    self.needs("IN")?;
                }
                let listed = Expression::In(path.clone(), self.list()?);
                return Ok(Expression::Not(Box::new(listed)));
            }
        }
        let comparison = match self.peek() {
            Some(Kind::Symbol("=")) => Comparison::Equal,
            Some(Kind::Symbol("!=" | "<>")) => Comparison::NotEqual,
            Some(Kind::Symbol("<")) => Comparison::Less,
            Some(Kind::Symbol("<=")) => Comparison::AtMost,
            Some(Kind::Symbol(">")) => Comparison::Greater,
            Some(Kind::Symbol(">=")) => Comparison::AtLeast,
            Some(Kind::Symbol(_) | Kind::Word(_) | Kind::Name(_) | Kind::Literal(_)) | None => {
                return Err(self.expected("a comparison"));
            }
        };
        self.advance();
        Ok(Expression::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, QueryError> {
        match self.literal() {
            Some(value) => Ok(Operand::Literal(value)),
            None => self.path().map(Operand::Path),
        }
    }

    /// Reads a literal, if one comes next.
    fn literal(&mut self) -> Option<Value> {
        let value = match self.peek()? {
            Kind::Literal(value) => value.clone(),
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Value::Bool(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Value::Bool(false),
            Kind::Word(word) if word.eq_ignore_ascii_case("null") => Value::Null,
            Kind::Word(_) | Kind::Name(_) | Kind::Symbol(_) => return None,
        };
        self.advance();
        Some(value)
    }

    fn list(&mut self) -> Result<Vec<Value>, QueryError> {
        self.needs_symbol("[")?;
        let mut values = Vec::new();
        if self.takes_symbol("]") {
            return Ok(values);
        }
        loop {
            values.push(self.literal().ok_or_else(|| self.expected("a literal"))?);
            if !self.takes_symbol(",") {
                self.needs_symbol("]")?;
                return Ok(values);
            }
        }
    }
}

fn single(mut some: Vec<Expression>, of: fn(Vec<Expression>) -> Expression) -> Expression {
    match (some.len(), some.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            some.push(last);
            of(some)
        }
        (_, None) => of(some),
    }
}

/// `c.deviceId` of a row called `c`, and `devices.deviceId`, are `deviceId`.
fn strip_row_name(query: &mut Query) {
    let Some(from) = query.from.clone() else { return };
    let strip = |path: &mut Path| {
        let named = path.0.first().filter(|_| path.0.len() > 1).is_some_and(|first| {
            first.eq_ignore_ascii_case(&from.collection)
                || from.alias.as_ref().is_some_and(|alias| first.eq_ignore_ascii_case(alias))
        });
        if named {
            path.0.remove(0);
        }
    };
    if let Select::Items(items) = &mut query.select {
        for item in items {
            match &mut item.what {
                What::Path(path) | What::Aggregate(_, Some(path)) => strip(path),
                What::Aggregate(_, None) => {}
            }
        }
    }
    query.group_by.iter_mut().for_each(strip);
    if let Some(filter) = &mut query.filter {
        strip_in(filter, &strip);
    }
}

fn strip_in(expression: &mut Expression, strip: &impl Fn(&mut Path)) {
    match expression {
        Expression::And(some) | Expression::Or(some) => {
            some.iter_mut().for_each(|one| strip_in(one, strip));
        }
        Expression::Not(one) => strip_in(one, strip),
        Expression::Compare(left, _, right) => {
            for side in [left, right] {
                if let Operand::Path(path) = side {
                    strip(path);
                }
            }
        }
        Expression::In(path, _) | Expression::IsDefined(path) => strip(path),
    }
}

/// What the grammar allows and has no meaning.
fn judge(query: &Query) -> Result<(), QueryError> {
    match &query.select {
        Select::All if !query.group_by.is_empty() => Err(QueryError::NotGrouped),
        Select::Items(items) if query.aggregates() => {
            let grouped = |item: &Item| match &item.what {
                What::Aggregate(_, _) => true,
                What::Path(path) => query.group_by.contains(path),
            };
            match items.iter().all(grouped) {
                true => Ok(()),
                false => Err(QueryError::NotGrouped),
            }
        }
        Select::All | Select::Items(_) => Ok(()),
    }
}

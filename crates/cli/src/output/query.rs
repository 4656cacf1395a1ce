//! `--query`: a JMESPath expression over the answer, as `az` applies it.

use std::sync::Arc;

use jmespath::ast::Ast;
use serde_json::{Map, Value};

use crate::failure::{Failure, Result};

/// A JMESPath expression, known to be one.
///
/// Source: <https://jmespath.org/specification.html>; knack `query.py`.
#[derive(Clone, Debug)]
pub struct Query(Arc<jmespath::Expression<'static>>);

/// An answer to a query, and the order of its columns.
pub(crate) struct Found {
    /// The answer.
    pub(crate) value: Value,
    /// The members of its objects in the order that the expression names them; empty where it
    /// leaves them to the service.
    order: Vec<String>,
}

impl Query {
    /// Reads an expression.
    ///
    /// # Errors
    /// A message for the operator, with a mark under the place.
    pub fn parse(text: &str) -> Result<Self, String> {
        match jmespath::compile(text) {
            Ok(expression) => Ok(Self(Arc::new(expression))),
            Err(error) => Err(format!("{error}\nsee https://jmespath.org")),
        }
    }

    /// Applies the expression.
    pub(crate) fn search(&self, value: &Value) -> Result<Found> {
        let wrong = |because: String| {
            Failure::usage(format!("--query can not be applied to the answer: {because}"))
                .hint("look at the answer with `--output json` and without --query")
        };
        let found = self.0.search(value).map_err(|error| wrong(error.to_string()))?;
        let value = serde_json::to_value(&found).map_err(|error| wrong(error.to_string()))?;
        let order = named(self.0.as_ast()).unwrap_or_default();
        Ok(Found { value, order })
    }
}

impl Found {
    /// What was not asked for by an expression: the whole answer.
    pub(crate) const fn whole(value: Value) -> Self {
        Self { value, order: Vec::new() }
    }

    /// The items of a list; else the one answer.
    pub(crate) fn rows(&self) -> &[Value] {
        self.value.as_array().map_or_else(|| std::slice::from_ref(&self.value), Vec::as_slice)
    }

    /// Whether the expression names this member.
    pub(crate) fn is_named(&self, member: &str) -> bool {
        self.order.iter().any(|named| named == member)
    }

    /// The members of an object, in the order of the expression.
    pub(crate) fn members<'v>(
        &self,
        object: &'v Map<String, Value>,
    ) -> Vec<(&'v String, &'v Value)> {
        let mut members: Vec<_> = object.iter().collect();
        members.sort_by_key(|(name, _)| {
            self.order.iter().position(|wanted| wanted == *name).unwrap_or(self.order.len())
        });
        members
    }
}

/// The names in the `{a: …, b: …}` that makes the answer's objects.
///
/// The library keeps objects by name, so what the expression says is read from it.
fn named(ast: &Ast) -> Option<Vec<String>> {
    match ast {
        Ast::MultiHash { elements, .. } => {
            Some(elements.iter().map(|pair| pair.key.clone()).collect())
        }
        Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. } => named(rhs).or_else(|| named(lhs)),
        Ast::Or { lhs, rhs, .. } => named(lhs).or_else(|| named(rhs)),
        Ast::Condition { then, .. } => named(then),
        Ast::Expref { ast, .. } => named(ast),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } => named(node),
        Ast::Function { args, .. } => args.iter().find_map(named),
        Ast::MultiList { .. }
        | Ast::Comparison { .. }
        | Ast::Field { .. }
        | Ast::Identity { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Not { .. }
        | Ast::Slice { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn columns(expression: &str) -> Vec<String> {
        let rows = json!([{"a": 1, "b": 2}, {"a": 3, "b": 4}]);
        let found = Query::parse(expression).unwrap().search(&rows).unwrap();
        let first = found.value.as_array().map_or(&found.value, |rows| &rows[0]);
        let members = found.members(first.as_object().unwrap());
        members.into_iter().map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn columns_come_in_the_order_of_the_expression() {
        for expression in [
            "[].{z: a, b: b}",
            "[*].{z: a, b: b}",
            "[?a > `0`].{z: a, b: b} | [0]",
            "sort_by([].{z: a, b: b}, &z)",
            "[0].{z: a, b: b}",
            "reverse([].{z: a, b: b})[0:1]",
        ] {
            assert_eq!(columns(expression), ["z", "b"], "{expression}");
        }
        assert_eq!(columns("[]"), ["a", "b"]);
    }

    #[test]
    fn a_broken_expression_is_refused_with_the_place() {
        let text = Query::parse("a.[").unwrap_err();
        assert!(text.contains("^") && text.contains("jmespath.org"), "{text}");
    }

    #[test]
    fn an_expression_that_does_not_fit_the_answer_is_misuse() {
        let failure = Query::parse("length(a)").unwrap().search(&json!({"a": 1})).err().unwrap();
        assert_eq!(failure.kind(), crate::failure::Kind::Usage);
    }
}

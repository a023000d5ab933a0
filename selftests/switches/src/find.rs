// SPDX-License-Identifier: GPL-2.0

//! Which expression, function or arm is at a mutant's place, and what of it is to be replaced.
//!
//! An operator is not replaced by itself: in `a + b * c`, another one than `*` may take `a + b` for its left
//! side. So the mutant is the whole row of operators without parentheses, read anew.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    ops::Range, //
};

use anyhow::Result;
use syn::{
    visit::{
        self,
        Visit, //
    },
    Arm,
    Block,
    Expr,
    ExprBinary,
    ExprMatch,
    ExprUnary,
    Pat,
    Signature, //
};

use crate::{
    render::{
        Kind,
        Place, //
    },
    text::Text,
    Mutant, //
};

/// The places of those mutants that can have a switch, and the others' numbers.
pub fn places(
    text: &Text<'_>,
    mutants: &[Mutant],
    constant: &BTreeSet<String>,
) -> Result<(Vec<Place>, Vec<u32>)> {
    let file = syn::parse_file(text.source())?;
    let mut finder = Finder {
        text,
        left: mutants
            .iter()
            .map(|mutant| (text.range(&mutant.span), mutant))
            .collect(),
        places: Vec::new(),
        constant,
        within: Within::Code,
    };
    finder.visit_file(&file);
    let Finder {
        mut places, left, ..
    } = finder;
    // What is inserted in front of an expression comes first, then the outer, then the inner.
    places.sort_by_key(|Place { range, .. }| (range.start, !range.is_empty(), Reverse(range.end)));
    Ok((places, left.iter().map(|(_, mutant)| mutant.id).collect()))
}

/// What the code around is.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Code,
    /// Evaluated by the compiler: nothing can be looked up there.
    Constant,
}

struct Finder<'a> {
    text: &'a Text<'a>,
    /// Those that have no place yet.
    left: Vec<(Range<usize>, &'a Mutant)>,
    places: Vec<Place>,
    /// Names of functions that stay `const`.
    constant: &'a BTreeSet<String>,
    within: Within,
}

impl<'a> Finder<'a> {
    /// Takes the mutants of a genre that are at a place, and for which there is something there.
    fn take<T>(
        &mut self,
        genre: &str,
        is_there: impl Fn(&Range<usize>) -> bool,
        make: impl Fn(&Mutant) -> Option<T>,
    ) -> Vec<(u32, T)> {
        let mut taken = Vec::new();
        if self.within == Within::Code {
            self.left.retain(|(range, mutant)| {
                let found = (mutant.genre == genre && is_there(range))
                    .then(|| make(mutant))
                    .flatten();
                let is_left = found.is_none();
                taken.extend(found.map(|found| (mutant.id, found)));
                is_left
            });
        }
        taken
    }

    fn add(&mut self, range: Range<usize>, kind: Kind) {
        self.places.push(Place { range, kind });
    }

    /// The operator may be replaced within `whole`.
    fn operator(
        &mut self,
        genre: &str,
        operator: &Range<usize>,
        whole: &Range<usize>,
    ) -> Vec<(u32, String)> {
        let text = self.text;
        self.take(
            genre,
            |range| range == operator,
            |mutant| {
                let mutated = text.with(whole, operator, &mutant.replacement);
                syn::parse_str::<Expr>(&mutated).is_ok().then_some(mutated)
            },
        )
    }

    fn expressions(&mut self, whole: Range<usize>, mutants: Vec<(u32, String)>) {
        if !mutants.is_empty() {
            self.add(whole, Kind::Expressions(mutants));
        }
    }

    /// Within a constant, or what the compiler wants to be one.
    fn constant(&mut self, visit: impl FnOnce(&mut Self)) {
        let around = std::mem::replace(&mut self.within, Within::Constant);
        visit(self);
        self.within = around;
    }

    /// A function. One that was `const` is no more, if there is a switch in it.
    fn function(&mut self, sig: &Signature, body: &Block, visit: impl FnOnce(&mut Self)) {
        let stays = sig.constness.is_some() && self.constant.contains(&sig.ident.to_string());
        let now = if stays {
            Within::Constant
        } else {
            Within::Code
        };
        let around = std::mem::replace(&mut self.within, now);
        let before = self.places.len();
        self.values(sig, body);
        visit(self);
        self.within = around;
        if let (Some(word), true) = (&sig.constness, self.places.len() > before) {
            let range = self.text.range_of(word);
            self.add(range, Kind::Nothing);
        }
    }

    /// What a function may return in place of what it does.
    fn values(&mut self, sig: &Signature, body: &Block) {
        let (Some(first), Some(last)) = (body.stmts.first(), body.stmts.last()) else {
            return;
        };
        let (start, end) = (
            self.text.range_of(first).start,
            self.text.range_of(last).end,
        );
        let can =
            |value: &str| !returns_impl(sig) && (sig.constness.is_none() || is_literal(value));
        let found = self.take(
            "FnValue",
            |range| *range == (start..end),
            |mutant| can(&mutant.replacement).then(|| mutant.replacement.clone()),
        );
        if !found.is_empty() {
            self.add(start..start, Kind::Values(found));
        }
    }

    /// What an arm's guard may be. An arm that is deleted is one that never matches, if there is another one
    /// for the rest.
    fn guard(&mut self, arm: &Arm, rest: bool) {
        let start = self.text.range_of(arm).start;
        let mut found = self.take(
            "MatchArm",
            |range| range.start == start,
            |_| rest.then_some(false),
        );
        let arrow = self.text.range_of(&arm.fat_arrow_token).start;
        let range = match &arm.guard {
            Some((_, guard)) => self.text.range_of(guard),
            None => arrow..arrow,
        };
        found.extend(self.take(
            "MatchArmGuard",
            |there| *there == range,
            |mutant| mutant.replacement.parse().ok(),
        ));
        if !found.is_empty() {
            self.add(range, Kind::Guard(found));
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, expr: &'ast ExprBinary) {
        let (mut operators, mut operands) = (Vec::new(), Vec::new());
        row(expr, &mut operators, &mut operands);
        let whole = self.text.range_of(expr);
        let mut mutants = Vec::new();
        for operator in operators {
            let range = self.text.range_of(operator);
            mutants.extend(self.operator("BinaryOperator", &range, &whole));
        }
        self.expressions(whole, mutants);
        for operand in operands {
            self.visit_expr(operand);
        }
    }

    fn visit_expr_unary(&mut self, expr: &'ast ExprUnary) {
        let (operator, whole) = (self.text.range_of(&expr.op), self.text.range_of(expr));
        let mutants = self.operator("UnaryOperator", &operator, &whole);
        self.expressions(whole, mutants);
        visit::visit_expr_unary(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'ast ExprMatch) {
        let rest = expr.arms.iter().any(is_for_the_rest);
        for arm in &expr.arms {
            self.guard(arm, rest);
        }
        visit::visit_expr_match(self, expr);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block, |finder| {
            visit::visit_item_fn(finder, item)
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |finder| {
            visit::visit_impl_item_fn(finder, item)
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        match &item.default {
            Some(body) => {
                self.function(&item.sig, body, |finder| {
                    visit::visit_trait_item_fn(finder, item)
                });
            }
            None => visit::visit_trait_item_fn(self, item),
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(|finder| visit::visit_item_const(finder, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constant(|finder| visit::visit_item_static(finder, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(|finder| visit::visit_impl_item_const(finder, item));
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.constant(|finder| visit::visit_trait_item_const(finder, item));
    }

    fn visit_expr_const(&mut self, expr: &'ast syn::ExprConst) {
        self.constant(|finder| visit::visit_expr_const(finder, expr));
    }

    fn visit_expr_repeat(&mut self, expr: &'ast syn::ExprRepeat) {
        self.visit_expr(&expr.expr);
        self.constant(|finder| finder.visit_expr(&expr.len));
    }

    fn visit_type(&mut self, of: &'ast syn::Type) {
        self.constant(|finder| visit::visit_type(finder, of));
    }

    fn visit_generic_argument(&mut self, argument: &'ast syn::GenericArgument) {
        self.constant(|finder| visit::visit_generic_argument(finder, argument));
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.constant(|finder| visit::visit_variant(finder, variant));
    }

    fn visit_pat(&mut self, pattern: &'ast Pat) {
        self.constant(|finder| visit::visit_pat(finder, pattern));
    }
}

/// The operators of a row without parentheses, and what is between them.
fn row<'ast>(
    expr: &'ast ExprBinary,
    operators: &mut Vec<&'ast syn::BinOp>,
    operands: &mut Vec<&'ast Expr>,
) {
    operators.push(&expr.op);
    for side in [&*expr.left, &*expr.right] {
        match side {
            Expr::Binary(inner) => row(inner, operators, operands),
            operand => operands.push(operand),
        }
    }
}

fn is_for_the_rest(arm: &Arm) -> bool {
    matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none()
}

/// Whether what the function returns has no name: all that it returns is of one type then.
fn returns_impl(sig: &Signature) -> bool {
    struct Found(bool);
    impl Visit<'_> for Found {
        fn visit_type_impl_trait(&mut self, _: &syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut found = Found(false);
    found.visit_return_type(&sig.output);
    found.0
}

/// Whether a `const` function could return this as well. Others may be what the compiler would not accept.
fn is_literal(value: &str) -> bool {
    match syn::parse_str::<Expr>(value) {
        Ok(Expr::Lit(_)) => true,
        Ok(Expr::Unary(negative)) => matches!(*negative.expr, Expr::Lit(_)),
        Ok(Expr::Tuple(unit)) => unit.elems.is_empty(),
        _ => false,
    }
}

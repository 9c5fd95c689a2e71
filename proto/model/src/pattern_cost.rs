//! What of a regular expression makes compiling it slow, told from its syntax alone. Never compiles anything.
//!
//! The size of what comes out is bounded elsewhere; this bounds the way there. Two things are slow: classes made of tables,
//! such as `\w`, and broad ranges whose letters are all looked up in both cases.

use regex_syntax::ast::{self, Ast, ClassSetItem, Flag, Flags, FlagsItemKind};

/// Most classes made of tables, and classes within classes.
const MAX_CLASSES: usize = 8;

/// Most characters a range may span in an expression that ignores case.
const MAX_FOLDED_SPAN: u32 = 4_096;

/// Why compiling an expression would take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooBroad {
    /// It has too many classes.
    #[error("has {0} classes such as \\w or \\pL; at most 8 are allowed: repeat one, or list characters")]
    Classes(usize),
    /// It ignores the case of nearly everything.
    #[error("ignores case over more than 4,096 characters; name a smaller range, or leave (?i) out")]
    FoldedSpan,
}

/// Compiling it takes at most some milliseconds.
pub(crate) fn check(pattern: &Ast) -> Result<(), TooBroad> {
    let parts = match ast::visit(pattern, Parts::default()) {
        Ok(parts) => parts,
        Err(never) => match never {},
    };
    if parts.classes > MAX_CLASSES {
        return Err(TooBroad::Classes(parts.classes));
    }
    if parts.ignores_case && parts.has_broad { Err(TooBroad::FoldedSpan) } else { Ok(()) }
}

/// What an expression holds.
#[derive(Default)]
struct Parts {
    classes: usize,
    has_broad: bool,
    ignores_case: bool,
}

impl Parts {
    fn note_flags(&mut self, flags: &Flags) {
        let ignores = |item: &ast::FlagsItem| item.kind == FlagsItemKind::Flag(Flag::CaseInsensitive);
        self.ignores_case |= flags.items.iter().any(ignores);
    }
}

impl ast::Visitor for Parts {
    type Output = Self;
    type Err = std::convert::Infallible;

    fn finish(self) -> Result<Self, Self::Err> {
        Ok(self)
    }

    fn visit_pre(&mut self, part: &Ast) -> Result<(), Self::Err> {
        match part {
            Ast::ClassPerl(_) | Ast::ClassUnicode(_) => self.classes += 1,
            Ast::Flags(set) => self.note_flags(&set.flags),
            Ast::Group(group) => group.flags().into_iter().for_each(|flags| self.note_flags(flags)),
            _ => {}
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Self::Err> {
        match item {
            ClassSetItem::Perl(_) | ClassSetItem::Unicode(_) => self.classes += 1,
            ClassSetItem::Bracketed(inner) => {
                self.classes += 1;
                self.has_broad |= inner.negated;
            }
            ClassSetItem::Range(range) => {
                self.has_broad |= u32::from(range.end.c).abs_diff(u32::from(range.start.c)) >= MAX_FOLDED_SPAN;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Pattern, PatternError};

    use super::*;

    #[test]
    fn what_compiles_slowly_is_refused_with_the_way_out() {
        let told = |text: &str| Pattern::new(text).unwrap_err();
        assert_eq!(told(&r"\w".repeat(128)), PatternError::TooBroad(TooBroad::Classes(128)));
        assert_eq!(told(&r"[\pL\d&&[a-z]]".repeat(3)), PatternError::TooBroad(TooBroad::Classes(9)));
        for broad in ["(?i)[!-\u{10FFFF}]", "(?i:[x[^y]])", r"a|(?si)[\x00-\x{ffff}]"] {
            assert_eq!(told(broad), PatternError::TooBroad(TooBroad::FoldedSpan), "{broad}");
        }
        let text = told(&r"\d".repeat(9)).to_string();
        assert!(text.contains("has 9 classes") && text.contains("repeat one"), "{text}");
    }

    #[test]
    fn what_people_write_is_taken() {
        for text in [
            "r[0-9]+",
            "(?i)rack-[a-z0-9]{1,8}",
            "(?i)[^x]+",
            "[a-z&&[^aeiou]]+",
            r"\d{1,3}(\.\d{1,3}){3}",
            "[!-\u{10FFFF}]*",
            "(eu|us)-(east|west)-[12][abc]",
        ] {
            assert!(Pattern::new(text).is_ok(), "{text}: {:?}", Pattern::new(text));
        }
    }
}

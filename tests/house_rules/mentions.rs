//! Which paths a Rust file names, outside its tests: `use std::{fs, io}` names `std::fs` and
//! `std::io`; `keys::leak::search(…)` names itself. Comments and strings name nothing.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// How a file names a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    InCode,
    Import,
    /// By `pub use` or `pub(…) use`: others can reach it through this file.
    PassedOn,
}

/// A path as the file writes it, imports spread out.
#[derive(PartialEq, Eq, Debug)]
pub struct Mention {
    pub path: String,
    pub line: usize,
    pub kind: Kind,
}

impl Mention {
    /// Whether the path is `prefix` or lies below it.
    pub fn is_below(&self, prefix: &str) -> bool {
        let rest = self.path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    /// The first segment of a path with at least two.
    pub fn root(&self) -> Option<&str> {
        self.path.split_once("::").map(|(root, _)| root)
    }
}

/// Reads a file's tokens. Panics on text that is not Rust: it would not compile either.
pub fn tokens(path: &str, text: &str) -> TokenStream {
    text.parse().expect(path)
}

/// Every path that a file names outside items marked `#[cfg(test)]`.
pub fn mentions(path: &str, text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    collect(without_tests(tokens(path, text)), &mut found);
    found
}

/// The tokens without the items that only test builds see.
pub fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let is_mark = is_punct(&token, '#')
            && matches!(rest.peek(), Some(TokenTree::Group(group)) if is_cfg_test(group));
        if !is_mark {
            kept.push(match token {
                TokenTree::Group(group) => {
                    let inner = without_tests(group.stream());
                    TokenTree::Group(Group::new(group.delimiter(), inner))
                }
                other => other,
            });
            continue;
        }
        // The item ends with its body or with a semicolon.
        for token in rest.by_ref() {
            let is_body =
                matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            if is_body || is_punct(&token, ';') {
                break;
            }
        }
    }
    kept.into_iter().collect()
}

fn is_cfg_test(attribute: &Group) -> bool {
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "cfg(test)"
}

fn collect(tokens: TokenStream, found: &mut Vec<Mention>) {
    let mut rest = tokens.into_iter().collect::<Vec<_>>().into_iter().peekable();
    let mut is_public = false;
    while let Some(token) = rest.next() {
        match token {
            TokenTree::Ident(word) if word == "use" => {
                let tree = rest.by_ref().take_while(|token| !is_punct(token, ';'));
                let kind = if is_public { Kind::PassedOn } else { Kind::Import };
                spread("", tree.collect(), kind, found);
                is_public = false;
            }
            TokenTree::Ident(word) => {
                is_public = word == "pub";
                let line = word.span().start().line;
                let mut path = word.to_string();
                while let Some(next) = next_segment(&mut rest) {
                    path = format!("{path}::{next}");
                }
                if calls_macro(&rest) {
                    path.push('!');
                }
                found.push(Mention { path, line, kind: Kind::InCode });
            }
            // The brackets of `pub(crate)` do not end it.
            TokenTree::Group(group) => collect(group.stream(), found),
            TokenTree::Punct(_) | TokenTree::Literal(_) => is_public = false,
        }
    }
}

/// Whether `!` and brackets come next, and not `!=`.
fn calls_macro(rest: &std::iter::Peekable<std::vec::IntoIter<TokenTree>>) -> bool {
    let mut ahead = rest.clone();
    ahead.next().is_some_and(|token| is_punct(&token, '!'))
        && matches!(ahead.next(), Some(TokenTree::Group(_)))
}

/// Takes `::name`, if that comes next.
fn next_segment(rest: &mut std::iter::Peekable<std::vec::IntoIter<TokenTree>>) -> Option<String> {
    let mut ahead = rest.clone();
    let are_colons = (0..2).all(|_| ahead.next().is_some_and(|token| is_punct(&token, ':')));
    match ahead.next() {
        Some(TokenTree::Ident(word)) if are_colons => {
            *rest = ahead;
            Some(word.to_string())
        }
        _ => None,
    }
}

/// Spreads the tree of an import into whole paths.
fn spread(prefix: &str, tree: TokenStream, kind: Kind, found: &mut Vec<Mention>) {
    let mut path = prefix.to_owned();
    let mut line = 0;
    let mut is_renamed = false;
    let join = |path: &str, word: &str| match path {
        "" => word.to_owned(),
        _ => format!("{path}::{word}"),
    };
    let mut end = |path: &mut String, line: &mut usize| {
        if *line > 0 {
            found.push(Mention { path: std::mem::take(path), line: *line, kind });
        }
        (*path, *line) = (prefix.to_owned(), 0);
    };
    for token in tree {
        match token {
            TokenTree::Ident(word) if word == "as" => is_renamed = true,
            TokenTree::Ident(word) if !is_renamed => {
                line = word.span().start().line;
                if word != "self" || prefix.is_empty() {
                    path = join(&path, &word.to_string());
                }
            }
            TokenTree::Group(group) => {
                let mut inner = Vec::new();
                spread(&path, group.stream(), kind, &mut inner);
                line = 0;
                end(&mut path, &mut line);
                // `end` holds `found`, so the inner ones wait for it below.
                for mention in inner {
                    (path, line) = (mention.path, mention.line);
                    end(&mut path, &mut line);
                }
            }
            TokenTree::Punct(mark) if mark.as_char() == ',' => {
                is_renamed = false;
                end(&mut path, &mut line);
            }
            TokenTree::Punct(mark) if mark.as_char() == '*' => {
                line = mark.span().start().line;
                path = join(&path, "*");
            }
            _ => {}
        }
    }
    end(&mut path, &mut line);
}

/// Whether a token is this mark.
pub fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

#[cfg(test)]
mod tests {
    use super::{Kind, mentions};

    fn paths(text: &str) -> Vec<String> {
        mentions("a.rs", text).into_iter().map(|mention| mention.path).collect()
    }

    #[test]
    fn imports_are_spread_out() {
        let text = "use std::{fs::{self, File}, io as i};\npub use keys::*;\nuse model;";
        let expected = ["std::fs", "std::fs::File", "std::io", "pub", "keys::*", "model"];
        assert_eq!(paths(text), expected);
    }

    #[test]
    fn expressions_and_macros_name_paths() {
        let text = "fn f() { std::fs::read(g!(keys::leak::search)); }";
        let found = paths(text);
        assert!(found.contains(&"std::fs::read".to_owned()));
        assert!(found.contains(&"keys::leak::search".to_owned()));
        assert!(found.contains(&"g!".to_owned()));
    }

    #[test]
    fn comments_strings_and_tests_name_nothing() {
        let text = "//! std::fs\n/// std::fs\nconst A: &str = \"std::fs\"; // std::fs\n\
                    #[cfg(test)] mod tests { use std::fs; }\n#[cfg(test)] use std::net;";
        assert!(paths(text).iter().all(|path| !path.starts_with("std")), "{:?}", paths(text));
    }

    #[test]
    fn what_is_passed_on_is_marked() {
        let found = mentions("a.rs", "pub(crate) use keys::A; use keys::B;");
        let marks: Vec<_> = found.iter().map(|m| (m.path.as_str(), m.kind)).collect();
        assert!(marks.contains(&("keys::A", Kind::PassedOn)), "{marks:?}");
        assert!(marks.contains(&("keys::B", Kind::Import)), "{marks:?}");
    }
}

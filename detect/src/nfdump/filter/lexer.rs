//! Words and signs of a filter.

/// A word or a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// Letters, digits and what addresses have.
    Word(&'t str),
    /// One of `( ) [ ] , / ! = == < > <= >= && ||`.
    Sign(&'t str),
}

/// Splits a text; the error is what is no token.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, &str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_')))
            .unwrap_or(rest.len());
        let length = if first == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if word > 0 {
            tokens.push(Token::Word(&rest[..word]));
            word
        } else {
            let signs = ["==", "<=", ">=", "&&", "||", "(", ")", "[", "]", ",", "/", "!", "=", "<", ">"];
            let Some(sign) = signs.into_iter().find(|sign| rest.starts_with(sign)) else { return Err(rest) };
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

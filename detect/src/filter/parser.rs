//! The grammar of the filter language (spec/modules.md section 4.3).
use super::lexer::{Lexer, Token};
use super::{Chain, Cmp, DEPTH_MAX, Expr, FilterError, Join, Literal, Operand, Subject, TEXT_MAX, Term};

impl Expr {
    /// Reads a filter; `None` is the empty one, which accepts everything.
    pub fn parse(text: &[u8]) -> Result<Option<Expr>, FilterError> {
        if text.len() > TEXT_MAX {
            return Err(FilterError::TooLong(text.len()));
        }
        let mut parser = Parser { lexer: Lexer::new(text), ahead: None };
        parser.advance();
        if parser.ahead.is_none() {
            return Ok(None);
        }
        let chain = parser.chain(0)?;
        match parser.ahead {
            None => Ok(Some(Expr { chain, echoed: parser.lexer.echoed })),
            Some(_) => Err(parser.unexpected()),
        }
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The next word.
    ahead: Option<Token>,
}

impl Parser<'_> {
    fn advance(&mut self) -> Option<Token> {
        std::mem::replace(&mut self.ahead, self.lexer.next())
    }

    fn unexpected(&self) -> FilterError {
        FilterError::Unexpected(self.ahead.as_ref().map_or("end of filter", Token::label).to_owned())
    }

    fn chain(&mut self, depth: usize) -> Result<Chain, FilterError> {
        let first = self.operand(depth)?;
        let mut rest = Vec::new();
        loop {
            let join = match self.ahead {
                Some(Token::And) => Join::And,
                Some(Token::Or) => Join::Or,
                _ => return Ok(Chain { first, rest }),
            };
            self.advance();
            rest.push((join, self.operand(depth)?));
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, FilterError> {
        if depth > DEPTH_MAX {
            return Err(FilterError::TooDeep);
        }
        let subject = match &self.ahead {
            Some(Token::Not) => {
                self.advance();
                return Ok(Operand::Not(Box::new(self.operand(depth + 1)?)));
            }
            Some(Token::Open) => {
                self.advance();
                let chain = self.chain(depth + 1)?;
                if self.ahead != Some(Token::Close) {
                    return Err(self.unexpected());
                }
                self.advance();
                return Ok(Operand::Bracket(Box::new(chain)));
            }
            Some(Token::Bool(value)) => {
                let value = *value;
                self.advance();
                return Ok(Operand::Bool(value));
            }
            Some(Token::Field(name)) => Subject::Field(name.clone()),
            Some(Token::Host) => Subject::Host,
            Some(Token::Port) => Subject::Port,
            Some(Token::Protocol) => Subject::Protocol,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let Some(Token::Compare(cmp)) = self.ahead else { return Err(self.unexpected()) };
        self.advance();
        let literal = match self.ahead.clone() {
            Some(Token::Number { value, is_signed }) => Literal::Number { value, is_signed },
            Some(Token::Float(value)) => Literal::Float(value),
            Some(Token::Time(text)) => Literal::Time(text),
            Some(Token::Ip(address)) => Literal::Ip(address),
            Some(Token::Net { address, bits }) => Literal::Net { address, bits },
            Some(Token::Text(text)) => Literal::Text(text),
            Some(Token::Name(name)) => Literal::Name(name),
            Some(Token::Array(elements)) => Literal::Array(elements),
            _ => return Err(self.unexpected()),
        };
        if !fits(&subject, cmp, &literal) {
            return Err(self.unexpected());
        }
        self.advance();
        Ok(Operand::Term(Term { subject, cmp, literal }))
    }
}

/// The pairs that the grammar has. Of the operators, `==` and `!=` are one class (EQ), `=~` another, the others a third (CMP).
fn fits(subject: &Subject, cmp: Cmp, literal: &Literal) -> bool {
    let is_eq = matches!(cmp, Cmp::Eq | Cmp::Ne);
    let is_cmp = !is_eq && cmp != Cmp::Regex;
    match (subject, literal) {
        (Subject::Field(_), Literal::Text(_)) => !is_cmp,
        (Subject::Field(_), Literal::Name(_)) => false,
        (Subject::Protocol, Literal::Name(_) | Literal::Text(_)) => is_eq,
        (Subject::Protocol | Subject::Port, Literal::Number { is_signed, .. }) => cmp != Cmp::Regex && !is_signed,
        (Subject::Field(_) | Subject::Host | Subject::Port, Literal::Array(_)) => is_cmp,
        (Subject::Field(_) | Subject::Host, Literal::Ip(_) | Literal::Net { .. }) => cmp != Cmp::Regex,
        (Subject::Field(_), _) => cmp != Cmp::Regex,
        _ => false,
    }
}

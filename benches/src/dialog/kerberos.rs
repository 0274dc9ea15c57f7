//! Kerberos exchanges (RFC 4120): logins and tickets, granted and refused, in DER. Keys and times are noise.
use super::Turn;

/// An exchange with the key distribution centre.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    pub realm: &'a str,
    pub client: &'a str,
    /// Components of the server's principal.
    pub server: &'a [&'a str],
    /// Bytes of data that a ticket request carries along.
    pub ticket: usize,
}

/// Error codes.
pub const CLIENT_UNKNOWN: u8 = 6;
pub const WRONG_PASSWORD: u8 = 24;
pub const PASSWORD_NEEDED: u8 = 25;

const AS: u8 = 10;
const TGS: u8 = 12;

impl Exchange<'_> {
    /// A login that ends with an error.
    pub fn refused(&self, code: u8) -> [Vec<u8>; 2] {
        let error = [
            field(0, &integer(5)),
            field(1, &integer(30)),
            field(4, &time()),
            field(5, &integer(0)),
            field(6, &integer(code)),
            field(9, &text(self.realm)),
            field(10, &name(2, self.server)),
        ];
        [self.request(AS), application(30, &sequence(&error.concat()))]
    }

    /// A login that is granted.
    pub fn granted(&self) -> [Vec<u8>; 2] {
        [self.request(AS), self.reply(AS + 1)]
    }

    /// A ticket for the server.
    pub fn ticket(&self) -> [Vec<u8>; 2] {
        [self.request(TGS), self.reply(TGS + 1)]
    }

    fn request(&self, kind: u8) -> Vec<u8> {
        let client = if kind == AS { field(1, &name(1, &[self.client])) } else { Vec::new() };
        let body = [
            field(0, &tagged(0x03, &[0, 0x40, 0, 0, 0])),
            client,
            field(2, &text(self.realm)),
            field(3, &name(2, self.server)),
            field(5, &time()),
            field(7, &integer(77)),
            field(8, &sequence(&integer(18))),
        ];
        // A type that nobody has defined, so that nobody tries to read it.
        let along = [field(1, &tagged(0x02, &[0x03, 0xe7])), field(2, &tagged(0x04, &vec![0x5a; self.ticket]))];
        let along = field(3, &sequence(&sequence(&along.concat())));
        let parts = [
            field(1, &integer(5)),
            field(2, &integer(kind)),
            if self.ticket > 0 { along } else { Vec::new() },
            field(4, &sequence(&body.concat())),
        ];
        application(kind, &sequence(&parts.concat()))
    }

    fn reply(&self, kind: u8) -> Vec<u8> {
        let sealed = sequence(&[field(0, &integer(18)), field(2, &tagged(0x04, &[0x33; 120]))].concat());
        let ticket =
            [field(0, &integer(5)), field(1, &text(self.realm)), field(2, &name(2, self.server)), field(3, &sealed)];
        let parts = [
            field(0, &integer(5)),
            field(1, &integer(kind)),
            field(3, &text(self.realm)),
            field(4, &name(1, &[self.client])),
            field(5, &application(1, &sequence(&ticket.concat()))),
            field(6, &sealed),
        ];
        application(kind, &sequence(&parts.concat()))
    }
}

/// A login as traffic mixes need it: granted, over UDP.
pub fn login() -> Vec<Turn> {
    let server = &["krbtgt", "EXAMPLE.ORG"];
    datagrams(Exchange { realm: "EXAMPLE.ORG", client: "alice", server, ticket: 0 }.granted())
}

/// Question and answer over UDP.
pub fn datagrams([question, answer]: [Vec<u8>; 2]) -> Vec<Turn> {
    vec![Turn::client(question), Turn::server(answer)]
}

/// The same over TCP: behind their lengths.
pub fn stream(exchange: [Vec<u8>; 2]) -> Vec<Turn> {
    datagrams(exchange.map(|message| [&(message.len() as u32).to_be_bytes()[..], &message].concat()))
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = match content.len() {
        short @ ..0x80 => vec![short as u8],
        long => [&[0x82][..], &(long as u16).to_be_bytes()].concat(),
    };
    [&[tag][..], &len, content].concat()
}

fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 | number, content)
}

fn application(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0x60 | number, content)
}

fn integer(value: u8) -> Vec<u8> {
    tagged(0x02, &[value])
}

fn text(text: &str) -> Vec<u8> {
    tagged(0x1b, text.as_bytes())
}

fn time() -> Vec<u8> {
    tagged(0x18, b"20370913024805Z")
}

fn name(kind: u8, components: &[&str]) -> Vec<u8> {
    let components: Vec<u8> = components.iter().flat_map(|part| text(part)).collect();
    sequence(&[field(0, &integer(kind)), field(1, &sequence(&components))].concat())
}

//! Records for modules, made by a seed: an ordinary mix, and what costs a detector most, a new host in each record.
use record::unirec::{Builder, Template};
use record::{Time, Value};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use trap::{Format, Output, OutputDefaults, Place, Sent, Spec};

/// Which fields a module wants beside the basic ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fields {
    Flows,
    /// With the direction.
    Directed,
    /// Of connections that go on.
    Open,
    Sip,
    Dns,
    Http,
    Mail,
    /// Of the module backscatter.
    Events,
    /// Of both directions, with what TLS and SSH say of themselves.
    Sessions,
}

/// Which hosts there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hosts {
    /// 20,000 clients, few of them busy, and 500 servers.
    Usual,
    /// Both addresses of each record are new, each flow has one packet.
    AllNew,
}

const BASIC: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
                     uint16 DST_PORT,uint16 SRC_PORT,uint8 PROTOCOL,uint8 TCP_FLAGS";
/// Flows a second by their times.
const FLOWS_A_SECOND: u64 = 20_000;
const BEGIN: u64 = 1_700_000_000;
const SYN: u64 = 2;
const WHOLE: u64 = 0x1b;
const ACK_PUSH: u64 = 0x18;

impl Fields {
    pub(crate) const ALL: [Fields; 9] = [
        Fields::Flows,
        Fields::Directed,
        Fields::Open,
        Fields::Sip,
        Fields::Dns,
        Fields::Http,
        Fields::Mail,
        Fields::Events,
        Fields::Sessions,
    ];

    fn spec(self) -> String {
        let more = match self {
            Fields::Flows | Fields::Open => "",
            Fields::Directed => ",uint8 DIR_BIT_FIELD",
            Fields::Sip => {
                ",uint16 SIP_MSG_TYPE,uint16 SIP_STATUS_CODE,string SIP_CALLED_PARTY,string SIP_CALLING_PARTY,string SIP_CALL_ID,\
                 string SIP_CSEQ,string SIP_REQUEST_URI,string SIP_USER_AGENT"
            }
            Fields::Dns => {
                ",uint32 DNS_RR_TTL,uint16 DNS_ANSWERS,uint16 DNS_CLASS,uint16 DNS_ID,uint16 DNS_PSIZE,uint16 DNS_QTYPE,\
                 uint16 DNS_RLENGTH,uint8 DNS_DO,uint8 DNS_RCODE,string DNS_NAME,bytes DNS_RDATA"
            }
            Fields::Http => {
                ",string HTTP_REQUEST_METHOD,string HTTP_REQUEST_HOST,string HTTP_REQUEST_URL,string HTTP_REQUEST_AGENT,\
                 string HTTP_REQUEST_REFERER"
            }
            Fields::Mail => {
                ",uint32 SMTP_2XX_STAT_CODE_COUNT,uint32 SMTP_3XX_STAT_CODE_COUNT,uint32 SMTP_4XX_STAT_CODE_COUNT,\
                 uint32 SMTP_5XX_STAT_CODE_COUNT,uint32 SMTP_COMMAND_FLAGS,uint32 SMTP_MAIL_CMD_COUNT,uint32 SMTP_RCPT_CMD_COUNT,\
                 uint32 SMTP_STAT_CODE_FLAGS,uint8 DIR_BIT_FIELD,uint8 TOS,uint8 TTL,string SMTP_DOMAIN,string SMTP_FIRST_RECIPIENT,\
                 string SMTP_FIRST_SENDER"
            }
            Fields::Events => {
                ",uint64 FLOW_COUNT,uint64 MAX_FPM,uint64 PACKET_COUNT,uint64 UNIQUE_DST_24_SUBNETS,uint64 UNIQUE_DST_IPS,\
                 uint64 UNIQUE_DST_PORTS,uint64 UNIQUE_SRC_PORTS,uint32 POSIX_END,uint32 POSIX_START,float BYTES_AVG,float BYTES_STD,\
                 float PPF_AVG,float PPF_STD,uint16 SRC_PORT_1"
            }
            Fields::Sessions => {
                ",uint64 BYTES_REV,uint32 PACKETS_REV,uint16 SSH_AUTH_ANSWERS,uint8 SSH_AUTH,bytes TLS_JA3,string TLS_JA4,string TLS_SNI"
            }
        };
        format!("{BASIC}{more}")
    }
}

/// Writes so many records to a TRAP file.
pub(crate) fn write(path: &Path, fields: Fields, hosts: Hosts, records: u64) -> Result<(), String> {
    let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let template = Template::parse(&fields.spec()).map_err(|why| failed(&why))?;
    let spec = Spec::parse(&format!("f:{}:w", path.display())).map_err(|why| failed(&why))?;
    let mut output =
        Output::open_at(&spec[0], OutputDefaults::default(), &Place::default()).map_err(|why| failed(&why))?;
    output.set_format(Format::UniRec(template.spec())).map_err(|why| failed(&why))?;
    let mut builder = Builder::new(&template);
    let (mut message, mut dice) = (Vec::new(), Dice(1));
    for number in 0..records {
        let record = Record::new(number, fields, hosts, &mut dice);
        for (name, value) in record.values() {
            let Some(index) = template.index_of(name) else { continue };
            builder.set(index, value).map_err(|why| failed(&why))?;
        }
        builder.finish(&mut message).map_err(|why| failed(&why))?;
        if output.send(&message) != Sent::Sent {
            return Err(failed(&"a record was not taken"));
        }
    }
    let _: Sent = output.send_eof();
    output.finish().map(drop).map_err(|why| failed(&why))
}

/// A multiplicative generator; the upper bits are used.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

struct Record {
    hosts: [IpAddr; 2],
    ports: [u64; 2],
    protocol: u64,
    flags: u64,
    packets: u64,
    bytes: u64,
    /// Nanoseconds since 1970.
    times: [u64; 2],
    /// 1 is an INVITE, 99 an answer.
    sip: [u64; 2],
    /// DNS: 3 in one of ten answers.
    code: u64,
    /// What the application's texts are made of.
    user: String,
    name: String,
    url: String,
}

impl Record {
    fn new(number: u64, fields: Fields, hosts: Hosts, dice: &mut Dice) -> Record {
        let all_new = hosts == Hosts::AllNew;
        let ip = |bits: u64| IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
        let [client, server] = if all_new {
            // Each value of 32 bits once in 2^32 steps: odd factors.
            [number.wrapping_mul(2_654_435_761), number.wrapping_mul(2_246_822_519).wrapping_add(77)]
        } else {
            let busy = dice.below(4) > 0;
            [0x0a00_0000 + dice.below(if busy { 200 } else { 20_000 }), 0xc000_0200 + dice.below(500)]
        };
        let (service, protocol) = match fields {
            Fields::Sip => (5060, 17),
            Fields::Dns => (53, 17),
            Fields::Http => (80, 6),
            Fields::Mail => (25, 6),
            Fields::Open | Fields::Events => (3333, 6),
            Fields::Flows | Fields::Directed | Fields::Sessions => {
                [(443, 6), (80, 6), (22, 6), (53, 17), (3389, 6), (23, 6), (123, 17), (443, 17)][dice.below(8) as usize]
            }
        };
        let port = 1_024 + dice.below(60_000);
        let packets = if all_new { 1 } else { 1 + dice.below(30) };
        let begin = BEGIN * 1_000_000_000 + number * (1_000_000_000 / FLOWS_A_SECOND);
        let end = begin + if all_new { 0 } else { dice.below(20_000_000_000) };
        // An answer every other time, where there are answers; SIP's detectors look at requests and answers.
        let is_answer = fields != Fields::Sessions && number % 2 == 1;
        let mut hosts = [ip(client), ip(server)];
        let mut ports = [port, service];
        if is_answer {
            hosts.reverse();
            ports.reverse();
        }
        let user = if all_new { format!("{number:x}") } else { format!("user{}", dice.below(2_000)) };
        let site = if all_new { number } else { dice.below(3_000) };
        Record {
            hosts,
            ports,
            protocol,
            flags: if protocol == 17 {
                0
            } else if fields == Fields::Open {
                ACK_PUSH
            } else if all_new {
                SYN
            } else {
                WHOLE
            },
            packets,
            bytes: packets * (60 + dice.below(900)),
            times: [begin, end],
            code: if is_answer && number % 20 == 1 { 3 } else { 0 },
            sip: if is_answer { [99, if number % 4 == 1 { 401 } else { 200 }] } else { [1, 0] },
            name: if fields == Fields::Sip {
                format!("sip:{user}@host{}.example.com", site % 100)
            } else {
                format!("{user}.host{}.example.com", site % 100_000)
            },
            url: format!("/page/{site}?id={}&name={user}", dice.below(1_000)),
            user,
        }
    }

    /// Names and values of all fields; a template has its part of them.
    fn values(&self) -> [(&'static str, Value<'_>); 42] {
        let time = |nanos: u64| Value::Time(Time(nanos));
        let cseq: &[u8] = if self.sip[0] == 99 { b"1 REGISTER" } else { b"1 INVITE" };
        let text = |text: &'static str| Value::Text(text.as_bytes());
        let (user, name, url) = (self.user.as_bytes(), self.name.as_bytes(), self.url.as_bytes());
        [
            ("DST_IP", Value::Ip(self.hosts[1])),
            ("SRC_IP", Value::Ip(self.hosts[0])),
            ("BYTES", Value::Uint(self.bytes)),
            ("LINK_BIT_FIELD", Value::Uint(1)),
            ("TIME_FIRST", time(self.times[0])),
            ("TIME_LAST", time(self.times[1])),
            ("PACKETS", Value::Uint(self.packets)),
            ("DST_PORT", Value::Uint(self.ports[1])),
            ("SRC_PORT", Value::Uint(self.ports[0])),
            ("PROTOCOL", Value::Uint(self.protocol)),
            ("TCP_FLAGS", Value::Uint(self.flags)),
            ("SIP_MSG_TYPE", Value::Uint(self.sip[0])),
            ("SIP_STATUS_CODE", Value::Uint(self.sip[1])),
            ("SIP_CALLED_PARTY", Value::Text(name)),
            ("SIP_CALLING_PARTY", Value::Text(name)),
            ("SIP_CALL_ID", Value::Text(user)),
            ("SIP_CSEQ", Value::Text(cseq)),
            ("SIP_REQUEST_URI", Value::Text(name)),
            ("SIP_USER_AGENT", text("agent 1.0")),
            ("DNS_QTYPE", Value::Uint(1)),
            ("DNS_RCODE", Value::Uint(self.code)),
            ("DNS_NAME", Value::Text(name)),
            ("DNS_RDATA", Value::Bytes(&[192, 0, 2, 1])),
            ("HTTP_REQUEST_METHOD", text("GET")),
            ("HTTP_REQUEST_HOST", Value::Text(name)),
            ("HTTP_REQUEST_URL", Value::Text(url)),
            ("HTTP_REQUEST_AGENT", text("Mozilla/5.0 (X11; Linux x86_64)")),
            ("HTTP_REQUEST_REFERER", text("http://www.example.com/")),
            ("SMTP_DOMAIN", text("mail.example.com")),
            ("SMTP_FIRST_RECIPIENT", Value::Text(name)),
            ("SMTP_FIRST_SENDER", Value::Text(user)),
            ("FLOW_COUNT", Value::Uint(30 + self.bytes)),
            ("MAX_FPM", Value::Uint(10 * self.packets)),
            ("POSIX_START", Value::Uint(BEGIN)),
            ("POSIX_END", Value::Uint(BEGIN + 30 + self.packets)),
            ("BYTES_REV", Value::Uint(3 * self.bytes)),
            ("PACKETS_REV", Value::Uint(self.packets)),
            // A refused login.
            ("SSH_AUTH", Value::Uint(u64::from(self.ports[1] == 22))),
            ("SSH_AUTH_ANSWERS", Value::Uint(3)),
            ("TLS_JA3", Value::Bytes(b"0123456789abcdef")),
            ("TLS_JA4", text("t13d1516h2_8daaf6152771_e5627efa2ab1")),
            ("TLS_SNI", Value::Text(name)),
        ]
    }
}

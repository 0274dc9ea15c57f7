//! The worked examples of spec/unirec.md section 7: bytes that the real library produced.
use record::unirec::{Builder, Datum, Layout, Template, View, csv};
use record::{Blob, Item, Kind, List, Mac, Record, Text, Time, Value, record};
use std::net::IpAddr;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// From a CSV text with header to the record.
fn replay(header: &str, row: &str) -> (Template, Vec<u8>) {
    let columns = csv::Columns::parse(header).unwrap();
    let mut out = Vec::new();
    columns.rows().read(row.as_bytes(), &mut out).unwrap();
    (columns.template().clone(), out)
}

fn print(template: &Template, record: &[u8]) -> String {
    let mut out = Vec::new();
    csv::Printer::new(b',').row(&View::new(template, record).unwrap(), &mut out);
    String::from_utf8(out).unwrap().trim_end_matches('\n').to_owned()
}

const A: &str = "20010db8000000000000000000000001 0000000000000000 0a000001 ffffffff cb04fb711f010000 91ed7c1f e6c0335b
    001122aabbcc 07000000 bb01 08cf 06 0000 0400 0400 0b00 deadbeef 6578616d706c652e636f6d";

record! {
    /// Example A, first half.
    struct Ends = "ends" {
        /// Source.
        src: IpAddr, unirec "SRC_IP";
        /// Destination.
        dst: IpAddr, unirec "DST_IP";
        /// Source port.
        sport: u16, unirec "SRC_PORT";
        /// Destination port.
        dport: u16, unirec "DST_PORT";
        /// Not in UniRec.
        hidden: u64;
        /// Left out by name.
        omitted: u64, unirec "LINK_BIT_FIELD";
        /// Protocol.
        protocol: u8, unirec "PROTOCOL";
    }
}
record! {
    /// Example A, second half.
    struct Rest = "rest" {
        /// Packets.
        packets: u32, unirec "PACKETS";
        /// Bytes.
        bytes: u64, unirec "BYTES";
        /// Start.
        first: Time, unirec "TIME_FIRST";
        /// MAC.
        mac: Mac, unirec "SRC_MAC";
        /// URL.
        url: Text<32>, unirec "URL";
        /// Payload.
        payload: Blob<8>, unirec "PAYLOAD";
    }
}

#[test]
fn example_a_from_declared_records_and_from_csv() {
    let mut ends = Ends { sport: 53_000, dport: 443, protocol: 6, hidden: 9, omitted: 9, ..Default::default() };
    (ends.src, ends.dst) = ("10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    let mut rest =
        Rest { packets: 7, bytes: 1_234_567_890_123, first: Time(1_530_118_374_123_000_000), ..Default::default() };
    rest.mac = [0, 0x11, 0x22, 0xaa, 0xbb, 0xcc];
    rest.url.set(b"example.com");
    rest.payload.set(&[0xde, 0xad, 0xbe, 0xef]);

    let layout = Layout::new(&[Ends::SCHEMA, Rest::SCHEMA], &["LINK_BIT_FIELD"]);
    let spec = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,macaddr SRC_MAC,uint32 PACKETS,uint16 DST_PORT,\
                uint16 SRC_PORT,uint8 PROTOCOL,bytes PAYLOAD,string URL";
    assert_eq!((layout.template().spec().as_str(), layout.template().static_size()), (spec, 71));
    let mut out = b"what was here before".to_vec();
    layout
        .encode(&mut out, |sink| {
            sink.part(1);
            rest.visit(sink);
            sink.part(0);
            ends.visit(sink);
        })
        .unwrap();
    assert_eq!(out, unhex(A));

    let csv = "2001:db8::1,10.0.0.1,1234567890123,2018-06-27T16:52:54.123000,00:11:22:aa:bb:cc,7,443,53000,6,deadbeef,\"example.com\"";
    assert_eq!(print(layout.template(), &out), csv);
    assert_eq!(replay(spec, csv).1, out);

    layout.encode(&mut out, |_| {}).unwrap();
    assert_eq!(out, [0; 71]);
}

const B_SPEC: &str = "uint8 A8,int16* AI16,string ASTR,uint8* AU8,ipaddr* AIP,time* AT,macaddr* AM,double* AD,uint32* AU32,bytes ABYTES,\
    float F,double D,char C,int8 I8,int64 I64";
const B_ORDER: &str = "double D,int64 I64,float F,uint8 A8,char C,int8 I8,bytes ABYTES,string ASTR,uint8* AU8,int16* AI16,\
    uint32* AU32,macaddr* AM,double* AD,time* AT,ipaddr* AIP";
const B_CSV: &str = "-1.250000,-9000000000,0.500000,200,x,-5,00ff,\"hi \"\"q\"\"\",[1|2|3],[-1|2|300],[4294967295],\
    [01:02:03:04:05:06],[1.500000|-2.250000],[2018-06-27T16:52:54.500000],[10.0.0.1|::1]";
const B: &str = "000000000000f4bf 00e68ee7fdffffff 0000003f c8 78 fb 00000200 02000600 08000300 0b000600 11000400 15000600
    1b001000 2b000800 33002000 00ff 686920227122 010203 ffff02002c01 ffffffff 010203040506 000000000000f83f 00000000000002c0
    00000080e6c0335b 0000000000000000 0a000001 ffffffff 00000000000000000000000000000001";

#[test]
fn example_b_has_every_size_class() {
    let template = Template::parse(B_SPEC).unwrap();
    assert_eq!((template.spec().as_str(), template.static_size()), (B_ORDER, 59));
    let (_, record) = replay(B_ORDER, B_CSV);
    assert_eq!(record, unhex(B));
    assert_eq!(print(&template, &record), B_CSV);

    let view = View::new(&template, &record).unwrap();
    let at = |name| template.index_of(name).unwrap();
    assert_eq!(
        (view.uint(at("A8")), view.int(at("I64")), view.char(at("C"))),
        (Some(200), Some(-9_000_000_000), Some(b'x'))
    );
    assert_eq!((view.float(at("D")), view.float(at("F")), view.uint(at("F"))), (Some(-1.25), Some(0.5), None));
    assert_eq!(view.bytes(at("ASTR")), Some(&b"hi \"q\""[..]));
    let ips = view.list(at("AIP")).unwrap();
    assert_eq!((ips.len(), ips.get(1), ips.get(2)), (2, Some(Value::Ip("::1".parse().unwrap())), None));
    assert_eq!(view.list(at("AI16")).unwrap().iter().collect::<Vec<_>>(), [-1, 2, 300].map(Value::Int));
    assert_eq!(view.list(at("AT")).unwrap().get(0), Some(Value::Time(Time(1_530_118_374_500_000_000))));
}

record! {
    /// Lists of declared records.
    struct Lists = "lists" {
        /// Numbers.
        numbers: List<i16, 4>, unirec "AI16";
        /// Times.
        times: List<Time, 4>, unirec "AT";
    }
}

#[test]
fn declared_lists() {
    let mut lists = Lists::default();
    [-1, 2, 300].iter().for_each(|v| assert!(lists.numbers.push(*v)));
    lists.times.push(Time(1_530_118_374_500_000_000));
    let layout = Layout::new(&[Lists::SCHEMA], &[]);
    let mut out = Vec::new();
    layout.encode(&mut out, |s| (s.part(0), lists.visit(s)).1).unwrap();
    assert_eq!(out, unhex("00000600 06000800 ffff02002c01 00000080e6c0335b"));
}

#[test]
fn example_c_nothing_is_set() {
    let template = Template::parse("ipaddr SRC_IP,time TIME_LAST,uint8 PROTOCOL,string URL").unwrap();
    let mut builder = Builder::new(&template);
    let mut out = Vec::new();
    builder.finish(&mut out).unwrap();
    assert_eq!(out, [0; 29]);
    assert_eq!(print(&template, &out), "::,1970-01-01T00:00:00.000000,0,\"\"");
    builder.set(0, Value::Ip("0.0.0.0".parse().unwrap())).unwrap();
    builder.finish(&mut out).unwrap();
    assert_eq!(out[12..16], [0xff; 4]);
}

#[test]
fn example_d_only_one_variable_field() {
    let template =
        Template::parse("ipaddr I,double D,time T,macaddr M,float F,int8 I8,uint8* A,bytes B,string S").unwrap();
    let at = |name| template.index_of(name).unwrap();
    assert_eq!(template.static_size(), 55);
    let mut builder = Builder::new(&template);
    let mut out = Vec::new();
    builder.set_text(at("A"), b"1 2").unwrap();
    builder.finish(&mut out).unwrap();
    assert_eq!(out[43..], unhex("00000200 02000000 02000000 0102"));
    builder.clear();
    builder.set(at("S"), Value::Text(b"only")).unwrap();
    builder.finish(&mut out).unwrap();
    assert_eq!(out[43..], unhex("00000000 00000000 00000400 6f6e6c79"));
}

#[test]
fn damaged_records_are_refused() {
    let template = Template::parse("string A,string B").unwrap();
    let check =
        |bytes: &[u8]| View::new(&template, bytes).map(|v| v.bytes(0).map(<[u8]>::len)).map_err(|e| e.to_string());
    assert!(check(&[0; 7]).unwrap_err().contains("7 bytes is shorter than the 8"));
    assert!(check(&[1, 0, 1, 0, 0, 0, 0, 0, 9]).unwrap_err().contains("field 0 lies at 1+1"));
    assert!(check(&[0, 0, 1, 0, 0, 0, 1, 0, 9]).unwrap_err().contains("share"));
    assert_eq!(check(&[0xff, 0xff, 0, 0, 1, 0, 1, 0, 8, 9]), Ok(Some(0)));
}

#[test]
fn what_does_not_fit_is_said() {
    let template = Template::parse("uint8 N,int8 S,bytes B,string T,uint16* L").unwrap();
    let mut builder = Builder::new(&template);
    let big = vec![0; 40_000];
    assert!(builder.set(0, Value::Uint(256)).unwrap_err().to_string().contains("uint8"));
    assert!(builder.set(1, Value::Int(-129)).is_err() && builder.set(1, Value::Int(-128)).is_ok());
    assert!(builder.set(0, Value::Text(b"x")).is_err() && builder.set(9, Value::Uint(1)).is_err());
    builder.set(2, Value::Bytes(&big)).unwrap();
    builder.set(3, Value::Text(&big)).unwrap();
    let mut out = Vec::new();
    assert_eq!(builder.finish(&mut out).unwrap_err().needed, 80_014);
    assert!(out.is_empty());
}

/// Each of the 29 types: zero, one value, and back.
#[test]
fn every_kind_goes_through_text_and_bytes() {
    for kind in Kind::all() {
        let (text, size) = match kind {
            Kind::List(item) => (sample(item.scalar()).to_owned() + " " + sample(item.scalar()), 4 + 2 * item.size()),
            Kind::Text | Kind::Bytes => {
                (sample(kind).to_owned(), 4 + sample(kind).len() / if kind == Kind::Bytes { 2 } else { 1 })
            }
            kind => (sample(kind).to_owned(), kind.size().unwrap()),
        };
        let template = Template::parse(&format!("{} X", kind.unirec_name())).unwrap();
        let mut builder = Builder::new(&template);
        let mut out = Vec::new();
        builder.set_text(0, text.as_bytes()).unwrap();
        builder.finish(&mut out).unwrap();
        assert_eq!(out.len(), size, "{kind:?}");
        let printed = print(&template, &out);
        let want = match kind {
            Kind::List(_) => format!("[{}]", text.replace(' ', "|")),
            Kind::Text => format!("\"{text}\""),
            _ => text,
        };
        assert_eq!(printed, want);
        assert_eq!(replay(&template.spec(), &printed).1, out);
    }
}

fn sample(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "some text",
        Kind::Bytes => "00ff10",
        Kind::Char => "x",
        Kind::U8 => "255",
        Kind::I8 => "-128",
        Kind::U16 => "65535",
        Kind::I16 => "-32768",
        Kind::U32 => "4294967295",
        Kind::I32 => "-2147483648",
        Kind::U64 => "18446744073709551615",
        Kind::I64 => "-9223372036854775808",
        Kind::F32 => "-0.500000",
        Kind::F64 => "12345.678900",
        Kind::Ip => "fe80::1",
        Kind::Mac => "00:aa:01:02:03:ff",
        Kind::Time => "2018-06-27T16:52:54.123456",
        Kind::List(_) => unreachable!("samples are of single values"),
    }
}

#[test]
fn raw_lists_keep_their_item_type() {
    let template = Template::parse("uint16* L,int16* M").unwrap();
    let bytes = [0, 0, 3, 0, 3, 0, 0, 0, 1, 2, 3];
    let view = View::new(&template, &bytes).unwrap();
    let Some(Datum::List(list)) = view.get(0) else { panic!("a list") };
    assert_eq!((list.item(), list.len(), list.as_bytes()), (Item::U16, 1, &[1, 2][..]));
    let mut builder = Builder::new(&template);
    assert!(builder.set(0, list).is_ok() && builder.set(1, list).is_err());
}

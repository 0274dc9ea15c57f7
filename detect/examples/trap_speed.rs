//! The processes that `cargo xtask trap-speed` measures: a sender, a receiver, a repeater, and any module.
//!
//! `send SPEC MESSAGES BYTES`, `recv SPEC`, `repeat SPEC,SPEC`, `module NAME ARGUMENT...`. Each says on standard error how many messages
//! it had and in how many seconds, counted from the first one.
#![forbid(unsafe_code)]

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Instant;
use trap::{Event, Format, Input, InputDefaults, Output, OutputDefaults, Sent, Spec};

/// A basic flow: the 66 bytes that NEMEA's own figures are for.
const BASIC: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,uint16 SRC_PORT,\
                     uint8 PROTOCOL,uint8 TCP_FLAGS";
const BASIC_LEN: usize = 66;
/// Offset and length of a variable field, in the fixed part.
const DESCRIPTOR: usize = 4;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["send", spec, messages, bytes] => match (messages.parse(), bytes.parse()) {
            (Ok(messages), Ok(bytes)) => send(spec, messages, bytes),
            _ => Err("messages and bytes are numbers".into()),
        },
        ["recv", spec] => receive(spec),
        ["repeat", specs] => repeat(specs),
        ["module", name, ..] => return module(name, &args[2..]),
        _ => Err("send SPEC MESSAGES BYTES | recv SPEC | repeat SPEC,SPEC | module NAME ARGUMENT...".into()),
    };
    match done {
        Ok((messages, since)) => {
            eprintln!("{messages} {:.6}", since.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("trap_speed: {why}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(u64, Instant), Box<dyn std::error::Error>>;

/// Sends flows that differ in addresses, ports and counts; a string field fills up what is more than a basic flow.
fn send(spec: &str, messages: u64, bytes: usize) -> Done {
    let more = bytes.checked_sub(BASIC_LEN).filter(|more| *more == 0 || *more > DESCRIPTOR);
    let more = more.ok_or("a record has 66 bytes, or more than 70")?;
    let text = more.saturating_sub(DESCRIPTOR);
    let mut record = vec![0; BASIC_LEN];
    if more > 0 {
        record.extend_from_slice(&[0, 0]);
        record.extend_from_slice(&u16::try_from(text)?.to_le_bytes());
        record.resize(bytes, b'x');
    }
    // 2020-09-13 12:26:40, the first and the last time of each flow.
    for at in [40, 48] {
        record[at..at + 8].copy_from_slice(&(1_600_000_000_u64 << 32).to_le_bytes());
    }
    record[64..66].copy_from_slice(&[6, 0x1b]);
    for at in [8, 24] {
        record[at + 4..at + 8].fill(0xff);
    }
    let mut output = Output::open(&Spec::parse(spec)?[0], OutputDefaults::default())?;
    let format = if more > 0 { format!("{BASIC},string TEXT") } else { BASIC.to_owned() };
    output.set_format(Format::UniRec(format))?;
    let since = Instant::now();
    for n in 0..messages {
        let low = n as u32;
        record[8..12].copy_from_slice(&Ipv4Addr::from(0x0a00_0000 | low & 0x00ff_ffff).octets());
        record[24..28].copy_from_slice(&Ipv4Addr::from(0xc0a8_0000 | low & 0xffff).octets());
        record[32..40].copy_from_slice(&(n % 1_000_000).to_le_bytes());
        record[56..60].copy_from_slice(&(low % 1000).to_le_bytes());
        record[62..64].copy_from_slice(&(low as u16).to_le_bytes());
        if output.send(&record) != Sent::Sent {
            return Err("a message was not taken".into());
        }
    }
    let _: Sent = output.send_eof();
    output.finish()?;
    Ok((messages, since))
}

fn receive(spec: &str) -> Done {
    let mut input = open(spec)?;
    let (mut messages, mut since, mut bytes) = (0, None, 0);
    loop {
        match input.recv()? {
            Event::Message(message) | Event::FormatChanged { first: message, .. } => {
                since.get_or_insert_with(Instant::now);
                messages += 1;
                bytes += message.len();
            }
            Event::Timeout => {}
            Event::EndOfStream | Event::Terminated => break,
        }
    }
    // So that messages are not counted without a look at them.
    std::hint::black_box(bytes);
    Ok((messages, since.unwrap_or_else(Instant::now)))
}

/// What traffic_repeater does.
fn repeat(specs: &str) -> Done {
    let (from, to) = specs.split_once(',').ok_or("an input and an output")?;
    let mut input = open(from)?;
    let mut output = Output::open(&Spec::parse(to)?[0], OutputDefaults::default())?;
    let (mut messages, mut since) = (0, None);
    loop {
        let message = match input.recv()? {
            Event::Message(message) => message,
            Event::FormatChanged { format, first } => {
                output.set_format(format.clone())?;
                first
            }
            Event::Timeout => continue,
            Event::EndOfStream | Event::Terminated => break,
        };
        since.get_or_insert_with(Instant::now);
        messages += 1;
        if output.send(message) != Sent::Sent {
            return Err("a message was not taken".into());
        }
        if let Some(batch) = input.batch() {
            let done = output.send_batch(&batch);
            messages += done.sent;
            if done.dropped > 0 {
                return Err("messages were not taken".into());
            }
        }
    }
    let _: Sent = output.send_eof();
    output.finish()?;
    Ok((messages, since.unwrap_or_else(Instant::now)))
}

fn module(name: &str, args: &[String]) -> ExitCode {
    match detect::modules::find(name) {
        Some(module) => ExitCode::from((module.run)(args)),
        None => {
            eprintln!("trap_speed: there is no module {name}");
            ExitCode::from(127)
        }
    }
}

fn open(spec: &str) -> Result<Input, Box<dyn std::error::Error>> {
    let mut input = Input::open(&Spec::parse(spec)?[0], &InputDefaults::default())?;
    input.require(Format::UniRec(String::new()));
    Ok(input)
}

//! The tables as text, line for line as the original prints them.
use super::ranking::Ranking;
use super::statistics::{Statistics, Tables};
use super::tables::{Addresses, By};
use std::io::{self, Write};

const LINE: &str = "------------------------------------";

/// The counts in the order of the tables.
const COUNTS: [(By, &str, &str); 3] =
    [(By::Flows, "flows", "Flows"), (By::Packets, "packets", "Packets"), (By::Bytes, "bytes", "Bytes")];

/// Writes all tables of an interval, `top` rows each.
///
/// # Errors
/// Those of `out`.
pub fn write(statistics: &Statistics, top: usize, now: jiff::Zoned, out: &mut impl Write) -> io::Result<()> {
    let clock = now.strftime("%Y-%m-%d %H:%M:%S");
    write!(out, "\n===================\n{clock}\n===================\n")?;
    let each = || {
        let by_port = statistics.by_port.iter().map(|(port, tables)| (Some(*port), tables));
        std::iter::once((None, &statistics.all)).chain(by_port)
    };
    for (port, tables) in each() {
        flows(tables, port, out)?;
    }
    for (port, tables) in each() {
        ports(tables, port, top, out)?;
    }
    for (port, tables) in each() {
        addresses("IPs", &tables.addresses, port, top, out)?;
    }
    for family in 0..2 {
        for (port, tables) in each() {
            addresses("networks", &tables.networks[family], port, top, out)?;
        }
    }
    Ok(())
}

fn flows(tables: &Tables, port: Option<u32>, out: &mut impl Write) -> io::Result<()> {
    let mut table = |count: &str, title: &str, ranking: &Ranking| {
        let by_port = by_port(" by port ", port);
        write!(out, "\nTop flows based on transferred {count}{by_port}\n{LINE}\n")?;
        writeln!(out, "N | Src ip | Dst ip | Src port | Dst port | Protocol | {title}")?;
        for (n, (count, flow)) in (1..).zip(ranking.rows()) {
            let [source, destination] = flow.ports;
            let protocol = flow.protocol;
            writeln!(out, "{n}\t{}\t{}\t{source}\t{destination}\t{protocol}\t{count}", flow.source, flow.destination)?;
        }
        Ok(())
    };
    table("bytes", "Bytes", &tables.flows_by_bytes)?;
    table("packets", "Packets", &tables.flows_by_packets)
}

fn ports(tables: &Tables, port: Option<u32>, top: usize, out: &mut impl Write) -> io::Result<()> {
    for (by, count, title) in COUNTS {
        let by_port = by_port(" who communicated the most with port ", port);
        write!(out, "\nTop ports based on transferred {count}{by_port}\n{LINE}\nN\tPort\t{title}\n")?;
        for (n, (port, count)) in (1..).zip(tables.ports.highest(by, top)) {
            writeln!(out, "{n}\t{port}\t{count}")?;
        }
    }
    Ok(())
}

/// Nothing at all if no address was counted.
fn addresses(what: &str, table: &Addresses, port: Option<u32>, top: usize, out: &mut impl Write) -> io::Result<()> {
    if table.is_empty() {
        return Ok(());
    }
    for (by, count, title) in COUNTS {
        let by_port = by_port(" by port ", port);
        write!(out, "\nTop {what} based on transferred {count}{by_port}\n{LINE}\nN\tIP\t\t{title}\n")?;
        for (n, (address, count)) in (1..).zip(table.highest(by, top)) {
            writeln!(out, "{n}\t{address}\t{count}")?;
        }
    }
    Ok(())
}

/// End of a title.
fn by_port(text: &str, port: Option<u32>) -> String {
    port.map_or(String::new(), |port| format!("{text}{port}"))
}

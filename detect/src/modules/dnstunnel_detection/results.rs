//! The folder of results: histograms of sizes over the whole run, and what is known of the addresses that are watched at the end.
use super::alert;
use super::host::{Host, Message, REQUEST_CLASSES, RESPONSE_CLASSES, Sizes, State};
use super::judge::Found;
use crate::bounded::Bounded;
use crate::sdk::Failure;
use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Sizes of all messages, by classes of 10 bytes.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    requests: [u64; REQUEST_CLASSES],
    responses: [u64; RESPONSE_CLASSES],
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { requests: [0; REQUEST_CLASSES], responses: [0; RESPONSE_CLASSES] }
    }
}

impl Totals {
    pub(super) fn add(&mut self, message: &Message<'_>) {
        let classes: &mut [u64] = if message.is_response { &mut self.responses } else { &mut self.requests };
        let last = classes.len() - 1;
        classes[(message.size as usize / 10).min(last)] += 1;
    }
}

/// Makes the folder, which must not be there.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().mode(0o750).create(folder);
    made.map_err(|why| Failure::Usage(format!("mkdir failed. {}: {why}", folder.display())))
}

/// Writes all files.
pub(super) fn write(folder: &Path, totals: &Totals, hosts: &Bounded<IpAddr, Host>) -> Result<(), Failure> {
    let failed = |why| Failure::Other(format!("the results in {} cannot be written: {why}", folder.display()));
    let mut addresses: Vec<_> = hosts.iter().collect();
    // Addresses of version 4 first, in their order.
    addresses.sort_unstable_by_key(|(address, _)| **address);
    try_write(folder, totals, &addresses).map_err(failed)
}

fn try_write(folder: &Path, totals: &Totals, hosts: &[(&IpAddr, &Host)]) -> io::Result<()> {
    let create = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
    let mut out = create("summary_requests.dat")?;
    title(&mut out, "DNS requests histogram of communication", "ip", REQUEST_CLASSES)?;
    row(&mut out, "all ", &totals.requests)?;
    out.flush()?;
    let mut out = create("summary_responses.dat")?;
    title(&mut out, "DNS responses histogram of communication", "ip", RESPONSE_CLASSES)?;
    row(&mut out, "all ", &totals.responses)?;
    out.flush()?;

    let mut requests = create("requests.dat")?;
    let first = "ip__EX__VarX__Skewness__Kurtosis";
    title(&mut requests, "DNS requests histogram of communication devided by IP", first, REQUEST_CLASSES)?;
    let mut responses = create("responses.dat")?;
    title(&mut responses, "DNS responses histogram of communication devided by IP", first, RESPONSE_CLASSES)?;
    let mut letters = create("request_letters_count.dat")?;
    title(&mut letters, "Count of letters per ip", "ip__EX__VarX", REQUEST_CLASSES)?;
    let mut anomalies = create("founded_anomaly.txt")?;
    let mut suspects = create("suspision_list.txt")?;
    writeln!(suspects, "IP in SUSPICION STATE")?;
    for (address, host) in hosts {
        let no_requests = Default::default();
        let of_requests = host.requests.as_deref().unwrap_or(&no_requests);
        sizes(&mut requests, **address, &of_requests.sizes)?;
        let no_responses = Sizes::default();
        sizes(&mut responses, **address, host.responses.as_deref().unwrap_or(&no_responses))?;
        let classes: [u64; REQUEST_CLASSES] = std::array::from_fn(|class| of_requests.letters(class));
        let count = of_requests.named() as f32;
        let mean = classes.iter().sum::<u64>() as f32 / count;
        let squares = classes.iter().map(|letters| letters * letters).sum::<u64>() as f32 / count;
        row(&mut letters, &format!("{address}__EX={mean:.6}__VarX={:.6}", squares - mean * mean), &classes)?;
        let states = [
            host.request_tunnel.state,
            host.request_other.state,
            host.response_tunnel.state,
            host.response_other.state,
        ];
        let [request_tunnel, request_other, response_tunnel, response_other] =
            states.map(|state| state == State::Attack);
        let found = Found { request_tunnel, request_other, response_tunnel, response_other };
        if found != Found::default() {
            alert::log(&mut anomalies, **address, host, found)?;
        }
        if states.contains(&State::Suspicion) {
            writeln!(suspects, "{address}")?;
        }
    }
    for mut out in [requests, responses, letters, anomalies, suspects] {
        out.flush()?;
    }
    Ok(())
}

/// What the file is, and the classes.
fn title(out: &mut impl Write, title: &str, first: &str, classes: usize) -> io::Result<()> {
    write!(out, "{title}\n{first}\t")?;
    for class in 0..classes - 1 {
        write!(out, "{}-{}\t", class * 10, class * 10 + 10)?;
    }
    writeln!(out, "{}-inf", (classes - 1) * 10)
}

fn row(out: &mut impl Write, first: &str, counts: &[u64]) -> io::Result<()> {
    let counts: Vec<_> = counts.iter().map(u64::to_string).collect();
    writeln!(out, "{first}\t{}", counts.join("\t"))
}

/// Sizes of one address. Skewness and kurtosis are always 0, in the original too.
fn sizes<const N: usize>(out: &mut impl Write, address: IpAddr, sizes: &Sizes<N>) -> io::Result<()> {
    let (mean, variance) = sizes.mean_and_variance();
    let first = format!("{address}__EX={mean:.6}__VarX={variance:.6}__skewness=0.000000__kurtosis=0.000000");
    row(out, &first, &sizes.classes.map(u64::from))
}

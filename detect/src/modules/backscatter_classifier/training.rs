//! `--train`: rows of CSV, as `logger -t` writes events of backscatter, with a column LABEL; then a model for each protocol that there is.
use super::boost::{self, Growth, Labelled};
use super::features::{Kind, Sample};
use super::model::Model;
use crate::csv;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a file, at the most.
const FILE_MAX: u64 = 1 << 30;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrainError {
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
    #[error("the CSV is longer than {FILE_MAX} bytes, or no text")]
    Text,
    #[error("the CSV has no column {0}; its first line must name the fields of backscatter, and LABEL")]
    Column(&'static str),
    #[error("line {0} of the CSV: {1} is no number")]
    Number(usize, &'static str),
    #[error("the CSV needs events of both sorts, LABEL 1 (attack) and 0, of TCP or of ICMP")]
    OneSort,
}

/// Columns that are read.
const COLUMNS: [&str; 14] = [
    "PROTOCOL",
    "POSIX_START",
    "POSIX_END",
    "FLOW_COUNT",
    "MAX_FPM",
    "UNIQUE_DST_24_SUBNETS",
    "UNIQUE_DST_IPS",
    "UNIQUE_DST_PORTS",
    "UNIQUE_SRC_PORTS",
    "PPF_AVG",
    "PPF_STD",
    "BYTES_AVG",
    "BYTES_STD",
    "LABEL",
];

/// Trains and writes the model; answers what is worth saying.
///
/// # Errors
/// See [`TrainError`].
pub(super) fn train(csv: &Path, to: &Path) -> Result<String, TrainError> {
    let mut text = String::new();
    let read = File::open(csv)?.take(FILE_MAX + 1).read_to_string(&mut text);
    if matches!(&read, Err(why) if why.kind() == io::ErrorKind::InvalidData) || text.len() as u64 > FILE_MAX {
        return Err(TrainError::Text);
    }
    read?;
    let rows = rows(&text)?;
    let mut said = Vec::new();
    let [tcp, icmp] = Kind::ALL.map(|kind| {
        let rows: Vec<_> = rows.iter().filter(|(of, _)| *of == kind).map(|(_, row)| *row).collect();
        let forest = boost::train(kind, &rows, Growth::of(kind))?;
        let right = rows.iter().filter(|row| (forest.probability(&row.sample) > 0.5) == row.is_attack).count();
        said.push(format!(
            "{}: {} trees; {right} of {} events are told right",
            kind.name(),
            forest.trees.len(),
            rows.len()
        ));
        Some(forest)
    });
    if tcp.is_none() && icmp.is_none() {
        return Err(TrainError::OneSort);
    }
    Model::new(tcp, icmp).store(to)?;
    Ok(said.join("\n"))
}

/// The events of a table; other protocols are passed over.
fn rows(text: &str) -> Result<Vec<(Kind, Labelled)>, TrainError> {
    let mut table = csv::rows(text).into_iter();
    let head = table.next().unwrap_or_default();
    // `logger -t` writes the type before each name.
    let names: Vec<_> = head.iter().map(|cell| cell.trim().rsplit(' ').next().unwrap_or_default()).collect();
    let place = |column| names.iter().position(|name| *name == column).ok_or(TrainError::Column(column));
    let places = COLUMNS.map(place).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for (at, row) in table.enumerate() {
        let number = |(column, place): (&'static str, &usize)| {
            let read =
                row.get(*place).and_then(|cell| cell.trim().parse::<f64>().ok()).filter(|number| number.is_finite());
            read.ok_or(TrainError::Number(at + 2, column))
        };
        let numbers = COLUMNS.into_iter().zip(&places).map(number).collect::<Result<Vec<_>, _>>()?;
        let [
            protocol,
            start,
            end,
            flow_count,
            max_fpm,
            subnets,
            dst_ips,
            dst_ports,
            src_ports,
            ppf_avg,
            ppf_std,
            bytes_avg,
            bytes_std,
            label,
        ] = numbers[..]
        else {
            continue;
        };
        let duration = (end - start).max(1.0);
        let sample = Sample {
            flow_count,
            max_fpm,
            subnets,
            dst_ips,
            dst_ports,
            src_ports,
            ppf_avg,
            ppf_std,
            bytes_avg,
            bytes_std,
            duration,
        };
        rows.extend(Kind::of(protocol as u8).map(|kind| (kind, Labelled { sample, is_attack: label > 0.5 })));
    }
    Ok(rows)
}

/// Any text as a table: its rows are of finite numbers.
pub fn fuzz_training(input: &[u8]) {
    if let Ok(rows) = rows(&String::from_utf8_lossy(input)) {
        assert!(rows.iter().all(|(_, row)| row.sample.flow_count.is_finite() && row.sample.duration >= 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(rows: &str) -> String {
        format!("{}\n{rows}", COLUMNS.map(|name| format!("uint64 {name}")).join(","))
    }

    #[test]
    fn tables_and_what_is_wrong_with_them() {
        let rows = |text: &str| super::rows(text);
        let good = rows(&table("6,100,160,50,9,1,2,3,4,1.5,0.5,40,0,1\n17,0,0,0,0,0,0,0,0,0,0,0,0,0\n")).unwrap();
        assert_eq!(good.len(), 1);
        assert_eq!((good[0].0, good[0].1.sample.duration, good[0].1.is_attack), (Kind::Tcp, 60.0, true));
        assert!(rows("PROTOCOL,LABEL\n").unwrap_err().to_string().contains("POSIX_START"));
        assert!(rows(&table("6,x")).unwrap_err().to_string().contains("line 2 of the CSV: POSIX_START"));
        assert!(rows(&table("6,1")).is_err() && rows(&table("6,inf,1,1,1,1,1,1,1,1,1,1,1,1")).is_err());
    }

    proptest! {
        #[test]
        fn any_table(rows in "([0-9.e-]{0,4},){0,15}\n") {
            fuzz_training(table(&rows).as_bytes());
        }
    }
}

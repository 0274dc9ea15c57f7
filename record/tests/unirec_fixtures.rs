//! Records of real exporters: every byte and every character of the `.csv` that the original logger printed for them.
use record::unirec::{Builder, Template, View, csv};
use std::path::PathBuf;

/// The recorded data: `$SONDA_SHARED`, which must exist if it is set, or `/work/shared` if that exists.
fn fixtures() -> Option<PathBuf> {
    let named = std::env::var_os("SONDA_SHARED");
    let path = PathBuf::from(named.clone().unwrap_or("/work/shared".into())).join("fixtures/trapcap");
    if !path.exists() {
        assert!(named.is_none(), "SONDA_SHARED is set but {} is missing", path.display());
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

/// Template and messages of a file of the TRAP file interface: hello, then blocks of u32 size and u16-counted messages, big endian.
fn messages(file: &[u8]) -> (String, Vec<&[u8]>) {
    let u32_at = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(file[..4], [2, 0, 0, 0], "a file of UniRec");
    let mut at = 8 + u32_at(4);
    let spec = String::from_utf8(file[8..at].to_vec()).unwrap();
    let mut messages = Vec::new();
    while at < file.len() {
        let end = at + 4 + u32_at(at);
        at += 4;
        while at < end {
            let length = usize::from(u16::from_be_bytes([file[at], file[at + 1]]));
            messages.push(&file[at + 2..at + 2 + length]);
            at += 2 + length;
        }
    }
    (spec, messages)
}

#[test]
fn recorded_files_print_copy_and_replay_as_the_originals_do() {
    let Some(folder) = fixtures() else { return };
    let (mut files, mut records) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "trapcap") {
            continue;
        }
        let want = std::fs::read(path.with_extension("csv")).unwrap();
        let file = std::fs::read(&path).unwrap();
        let (spec, messages) = messages(&file);
        let template = Template::parse(&spec).unwrap();
        let mut printer = csv::Printer::new(b',');
        let mut builder = Builder::new(&template);
        let (mut text, mut copy) = (Vec::new(), Vec::new());
        printer.header(&template, &mut text);
        for message in &messages {
            let view = View::new(&template, message).unwrap();
            printer.row(&view, &mut text);
            builder.clear();
            for (index, (_, datum)) in view.iter().enumerate() {
                builder.set(index, datum).unwrap();
            }
            builder.finish(&mut copy).unwrap();
            assert_eq!(copy, *message, "{}: a copy of a record differs", path.display());
            records += 1;
        }
        assert!(text == want, "{}: CSV differs\n{}", path.display(), String::from_utf8_lossy(&text));
        replayed_prints_the_same(&want);
        files += 1;
    }
    assert!(files >= 27, "only {files} files");
    assert!(records > 300, "{records}");
}

/// CSV is shorter than the record (microseconds, printable characters), so what is compared is the CSV of its replay.
fn replayed_prints_the_same(text: &[u8]) {
    let mut lines = text.split(|b| *b == b'\n');
    let columns = csv::Columns::parse(std::str::from_utf8(lines.next().unwrap()).unwrap()).unwrap();
    let mut rows = columns.rows();
    let mut printer = csv::Printer::new(b',');
    let (mut record, mut again) = (Vec::new(), Vec::new());
    printer.header(columns.template(), &mut again);
    for line in lines.filter(|l| !l.is_empty()) {
        rows.read(line, &mut record).unwrap();
        printer.row(&View::new(columns.template(), &record).unwrap(), &mut again);
    }
    assert!(again == text);
}

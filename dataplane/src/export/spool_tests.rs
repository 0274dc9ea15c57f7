use super::*;

fn open(folder: &Path, run: u64) -> Spool {
    Spool::open(SpoolConfig { folder: folder.into(), bytes_max: SPOOL_BYTES_MIN }, run).expect("a folder")
}

fn message(number: u32) -> Vec<u8> {
    let mut message = vec![0; 1000];
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

const TEMPLATES: &[u8] = b"templates";

fn append(spool: &mut Spool, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let block = Block { message: &message(number), records: 2 };
        spool.append(block, &[TEMPLATES.to_vec()]).expect("a disk with room");
    }
}

/// Takes all, as a collector that acknowledges at once; answers the numbers.
fn drain(spool: &mut Spool) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(run) = spool.next_run() {
        let Some(taken) = spool.next(run) else {
            // That run's are all told; the next one's come in another session.
            assert_ne!(spool.next_run(), Some(run), "it waits for what has arrived");
            continue;
        };
        if taken.records > 0 {
            numbers.push(u32::from_be_bytes(*taken.message.first_chunk().expect("four bytes")));
        } else {
            assert_eq!(taken.message, TEMPLATES);
        }
        spool.arrived(taken.mark, taken.records.into());
    }
    numbers
}

#[test]
fn messages_come_back_in_order_and_leave_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path(), 1);
    append(&mut spool, 0..500);
    assert_eq!(drain(&mut spool), (0..500).collect::<Vec<_>>());
    append(&mut spool, 500..510);
    assert_eq!(drain(&mut spool), (500..510).collect::<Vec<_>>());
    assert!(spool.is_empty() && spool.books().imbalance() == 0);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "the lock alone");
}

#[test]
fn what_has_not_arrived_is_taken_again_also_by_a_later_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path(), 1);
    append(&mut spool, 0..10);
    for _ in 0..5 {
        let taken = spool.next(1).expect("messages");
        // Templates and the first two.
        if taken.mark.end < 3000 {
            spool.arrived(taken.mark, taken.records.into());
        }
    }
    spool.rewind();
    let next = spool.next(1).expect("messages");
    assert_eq!(next.message, message(2));
    spool.close();
    assert_eq!((spool.books().waiting, spool.books().imbalance()), (16, 0));
    drop(spool);
    let mut spool = open(folder.path(), 2);
    assert_eq!((spool.books().found, spool.next_run()), (16, Some(1)));
    append(&mut spool, 10..12);
    assert_eq!(drain(&mut spool), (2..12).collect::<Vec<_>>());
    assert_eq!((spool.books().arrived, spool.books().imbalance()), (20, 0));
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path(), 1);
    append(&mut spool, 0..5000);
    let books = spool.books();
    assert!(books.expired > 0 && books.imbalance() == 0);
    let bytes: u64 =
        std::fs::read_dir(folder.path()).expect("a folder").map(|f| f.expect("f").metadata().expect("m").len()).sum();
    assert!(bytes <= SPOOL_BYTES_MIN);
    let left = drain(&mut spool);
    assert_eq!(left, (5000 - left.len() as u32..5000).collect::<Vec<_>>());
    assert_eq!(spool.books().expired + spool.books().arrived, 10_000);
}

#[test]
fn a_torn_tail_costs_what_is_torn() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path(), 1);
    append(&mut spool, 0..10);
    let file = spool.path(FIRST_NUMBER);
    drop(spool);
    let mut bytes = std::fs::read(&file).expect("a segment");
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&file, &bytes).expect("a segment");
    std::fs::write(folder.path().join("009999999999.spool"), b"no segment").expect("a file");
    let mut spool = open(folder.path(), 2);
    assert_eq!(spool.books().found, 18);
    assert_eq!(drain(&mut spool), (0..9).collect::<Vec<_>>());
    assert_eq!((spool.books().torn, spool.books().imbalance()), (2, 0));
}

#[test]
fn what_went_past_an_empty_spool_can_be_put_in_front() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = open(folder.path(), 1);
    append(&mut spool, 5..8);
    let front: Vec<_> = (0..5).map(message).collect();
    let blocks: Vec<_> = front.iter().map(|message| Block { message, records: 2 }).collect();
    spool.prepend(&blocks, &[TEMPLATES.to_vec()]).expect("a disk with room");
    append(&mut spool, 8..9);
    assert_eq!(drain(&mut spool), (0..9).collect::<Vec<_>>());
    assert!(spool.is_empty() && spool.books().imbalance() == 0);
}

#[test]
fn a_folder_is_for_one_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let _ours = open(folder.path(), 1);
    let config = SpoolConfig { folder: folder.path().into(), bytes_max: SPOOL_BYTES_MIN };
    assert!(Spool::open(config, 2).is_err_and(|e| e.to_string().contains("another output")));
}

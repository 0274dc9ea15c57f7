use super::*;

#[test]
fn tables_are_sorted_and_found() {
    for table in [iana::ALL, cesnet::ALL, flowmon::ALL] {
        assert!(table.windows(2).all(|w| w[0].id < w[1].id));
        for e in table {
            assert_eq!(Element::find(e.pen, e.id), Some(*e));
        }
    }
    assert_eq!(Element::find(REVERSE, 1), Some(reverse::octetDeltaCount));
    assert_eq!(Element::find(12345, 1), None);
}

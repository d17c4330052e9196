//! What every backend must do.

/// Writes the tests that a [`Backend`](crate::Backend) must pass.
///
/// `$open` is an expression that yields a backend over fresh storage and something to keep alive
/// meanwhile (a temporary folder, or `()`):
///
/// ```ignore
/// mod memory {
///     paigham_store::store_conformance!((MemoryBackend::default(), ()));
/// }
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($open:expr) => {
        use $crate::{Backend as _, Order};

        fn set(name: &str, value: &str) -> $crate::Change {
            (name.into(), Some(value.into()))
        }

        fn removed(name: &str) -> $crate::Change {
            (name.into(), None)
        }

        fn names(records: Vec<$crate::Record>) -> Vec<String> {
            let text = |(name, _)| String::from_utf8(name).expect("the test's names are text");
            records.into_iter().map(text).collect()
        }

        /// A batch sets two records; both are there with their bytes, a third is not.
        #[test]
        fn returns_what_was_applied() {
            let (backend, _keep) = $open;
            backend.apply(&[set("a", "1"), set("b", "")]).unwrap();
            backend.sync().unwrap();
            assert_eq!(backend.get(b"a").unwrap().as_deref(), Some(b"1".as_slice()));
            assert_eq!(backend.get(b"b").unwrap().as_deref(), Some(b"".as_slice()));
            assert_eq!(backend.get(b"c").unwrap(), None);
        }

        /// One batch replaces a record, removes another and one that never was; all of it holds.
        #[test]
        fn replaces_and_removes_in_one_batch() {
            let (backend, _keep) = $open;
            backend.apply(&[set("a", "1"), set("b", "1")]).unwrap();
            backend.sync().unwrap();
            backend
                .apply(&[set("a", "2"), removed("b"), removed("never")])
                .unwrap();
            backend.sync().unwrap();
            assert_eq!(backend.get(b"a").unwrap().as_deref(), Some(b"2".as_slice()));
            assert_eq!(backend.get(b"b").unwrap(), None);
        }

        /// A range takes both of its ends, in both orders, and no more than the limit.
        #[test]
        fn scans_a_range_from_either_end() {
            let (backend, _keep) = $open;
            let all: Vec<_> = ["a", "b", "bb", "c", "d"].map(|name| set(name, "x")).into();
            backend.apply(&all).unwrap();
            backend.sync().unwrap();
            let scan = |order, limit| {
                let range = b"b".as_slice()..=b"c".as_slice();
                names(backend.scan(range, order, limit).unwrap())
            };
            assert_eq!(scan(Order::Ascending, 9), ["b", "bb", "c"]);
            assert_eq!(scan(Order::Descending, 9), ["c", "bb", "b"]);
            assert_eq!(scan(Order::Ascending, 2), ["b", "bb"]);
            assert_eq!(scan(Order::Descending, 1), ["c"]);
            assert!(scan(Order::Ascending, 0).is_empty());
        }

        /// A range without anything, and one whose ends are the wrong way round, hold nothing.
        #[test]
        fn scans_nothing_where_nothing_is() {
            let (backend, _keep) = $open;
            backend.apply(&[set("a", "1"), set("z", "1")]).unwrap();
            let scan = |from: &str, to: &str| {
                let range = from.as_bytes()..=to.as_bytes();
                backend.scan(range, Order::Ascending, 9).unwrap()
            };
            assert!(scan("b", "y").is_empty());
            assert!(scan("z", "a").is_empty());
        }

        /// A record of a megabyte comes back as it was.
        #[test]
        fn keeps_a_large_record() {
            let (backend, _keep) = $open;
            let large: Vec<u8> = (0..1 << 20).map(|at: u32| at.to_be_bytes()[2]).collect();
            backend
                .apply(&[(b"large".to_vec(), Some(large.clone()))])
                .unwrap();
            backend.sync().unwrap();
            assert!(backend.get(b"large").unwrap() == Some(large));
        }
    };
}

//! Which texts are handles, and which handles look alike.

use proptest::prelude::*;
use unicode_security::GeneralSecurityProfile;

use crate::identity::handle::alphabet::{ARABIC, DIGITS, FOLDS, JOINER, LATIN, Reason, fold};
use crate::identity::handle::{
    HANDLE_MAX_BYTES, HANDLE_MAX_CHARS, Handle, HandleError, Script, Skeleton,
};

fn look(typed: &str) -> Skeleton {
    Handle::typed(typed)
        .unwrap_or_else(|error| panic!("{typed}: {error}"))
        .skeleton()
}

fn letters() -> impl Iterator<Item = char> {
    LATIN
        .chars()
        .chain(DIGITS.chars())
        .chain([JOINER])
        .chain(ARABIC.chars())
}

/// Letters of the alphabet as they count: what UTS 39 gives is put through this too, to compare.
fn folded(text: impl Iterator<Item = char>) -> String {
    text.map(|letter| fold(letter).map_or_else(|| letter.to_string(), str::to_owned))
        .collect()
}

/// HND-01: a handle has 3 to 32 characters, counted as people count.
#[test]
fn a_handle_has_3_to_32_characters() {
    assert_eq!(Handle::new("ab"), Err(HandleError::Length));
    assert!(Handle::new("abc").is_ok());
    assert!(Handle::new(&"ع".repeat(HANDLE_MAX_CHARS)).is_ok());
    assert_eq!(
        Handle::new(&"ع".repeat(HANDLE_MAX_CHARS + 1)),
        Err(HandleError::Length)
    );
    assert_eq!(
        Handle::typed(&"x".repeat(1 << 20)),
        Err(HandleError::Length)
    );
    let widest = "m".repeat(HANDLE_MAX_CHARS);
    assert_eq!(look(&widest).as_str().len(), HANDLE_MAX_BYTES);
}

/// HND-02: nothing that nobody sees, that turns the text around, or that lies outside the alphabet.
#[test]
fn invisible_and_foreign_characters_are_refused() {
    let refused = [
        "ali\u{200D}khan",  // zero width joiner
        "ali\u{200C}khan",  // zero width non-joiner
        "ali\u{202E}khan",  // right-to-left override
        "ali\u{2066}khan",  // isolate
        "ali\u{061C}khan",  // Arabic letter mark
        "ali\u{00AD}khan",  // soft hyphen
        "ali\u{FE0F}khan",  // variation selector
        "ali\u{E0061}khan", // tag
        "ali khan",
        "ali.khan",
        "аli", // Cyrillic a
        "josé",
        "ışık",
        "ali😀",
        "अली",
    ];
    for text in refused {
        let error = Handle::typed(text).unwrap_err();
        assert!(
            matches!(error, HandleError::Character(_)),
            "{text:?}: {error}"
        );
    }
    // A record's display form is taken as it is: nothing is normalised behind the signer's back.
    for text in ["Ali", "ＡＢＣ", "احمد۵", "مُحمد", "محمــد", "ﻣﺤﻤﺪ"] {
        assert!(Handle::typed(text).is_ok(), "{text:?}");
        let error = Handle::new(text).unwrap_err();
        assert!(
            matches!(error, HandleError::Character(_)),
            "{text:?}: {error}"
        );
    }
}

/// HND-03: one script, with the digits of both.
#[test]
fn letters_of_two_scripts_are_refused() {
    assert_eq!(Handle::typed("alیali"), Err(HandleError::MixedScripts));
    assert_eq!(Handle::typed("احمدa"), Err(HandleError::MixedScripts));
    assert_eq!(
        Handle::typed("ahmad5").map(|h| h.script()),
        Ok(Script::Latin)
    );
    assert_eq!(
        Handle::typed("احمد۵").map(|h| h.script()),
        Ok(Script::Arabic)
    );
}

/// HND-04: a letter first, so that digits cannot move around it, and underscores only inside.
#[test]
fn a_handle_begins_with_a_letter() {
    for text in ["5ahmad", "۵احمد", "_ali", "ali_", "ali__khan", "555", "___"] {
        assert_eq!(Handle::typed(text), Err(HandleError::Shape), "{text}");
    }
    assert!(Handle::typed("ali_khan_5").is_ok());
}

/// Two people type one name on different keyboards, in capitals, with marks, stretched, or as an old
/// program wrote it: they mean one handle.
#[test]
fn one_word_from_any_keyboard_is_one_handle() {
    let same = [
        &["Ali_Khan", "ali_khan", " @ALI_KHAN ", "ａｌｉ＿ｋｈａｎ"][..],
        // Urdu, Arabic and Sindhi kaf; Urdu and Arabic yeh, alef maksura.
        &["ملک", "ملك", "ملڪ"],
        &["علی", "علي", "على"],
        // Heh goal, Arabic heh, do-chashmi heh, teh marbuta.
        &["فاطمہ", "فاطمه", "فاطمھ", "فاطمة", "فاطمۃ"],
        // Hamza and madda read past.
        &["آمنہ", "امنہ", "أمنہ"],
        &["کوئی", "کویی"],
        &["مؤمن", "مومن"],
        // Vowel marks and tatweel.
        &["محمد", "مُحَمَّد", "محمــــد"],
        // Presentation forms.
        &["محمد", "ﻣﺤﻤﺪ"],
        &["سلام", "ﺳﻼم"],
        // Digits of three keyboards.
        &["احمد0123456789", "احمد٠١٢٣٤٥٦٧٨٩", "احمد۰۱۲۳۴۵۶۷۸۹"],
        // Pashto gaf.
        &["ګران", "گران"],
    ];
    for words in same {
        for word in words {
            assert_eq!(look(word), look(words[0]), "{word}");
        }
    }
}

/// Names that look alike are one handle, so the second to come is told that it is taken.
#[test]
fn handles_that_look_alike_are_one() {
    let alike = [
        ("paigham", "paigharn"),
        ("bilal", "bi1a1"),
        ("noor", "n00r"),
        ("wali", "vvali"),
        ("daud", "claucl"),
        ("سپنا", "سثنا"),
        // Whole words in two scripts: ہاہا and olol.
        ("ہاہا", "olol"),
    ];
    for (one, other) in alike {
        assert_eq!(look(one), look(other), "{one} {other}");
    }
    let apart = [
        ("ali", "alia"),
        ("ali_khan", "alikhan"),
        ("بابر", "باتر"),
        ("گلاب", "کلاب"),
        ("ربا", "رٹا"),
        ("احمد5", "احمد6"),
    ];
    for (one, other) in apart {
        assert_ne!(look(one), look(other), "{one} {other}");
    }
}

/// Every letter is one that UTS 39 recommends for names, except one that Saraiki needs.
#[test]
fn the_alphabet_is_recommended_for_names() {
    let others: Vec<_> = letters().filter(|c| !c.identifier_allowed()).collect();
    assert_eq!(others, ['ݙ']);
}

/// No letter stands twice in the tables, and none counts as one outside of the alphabet.
#[test]
fn the_tables_are_well_formed() {
    let mut all: Vec<_> = letters().collect();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    let mut folds: Vec<_> = FOLDS.iter().flat_map(|(from, _, _)| from.chars()).collect();
    folds.sort_unstable();
    assert!(folds.windows(2).all(|pair| pair[0] != pair[1]));
    for (from, to, _) in FOLDS {
        assert!(from.chars().chain(to.chars()).all(|c| all.contains(&c)));
        assert_eq!(folded(to.chars()), **to, "what is folded to stays");
    }
}

/// What UTS 39 makes one, we make one: a letter and what UTS 39 gives for it, once the marks are
/// taken away that UTS 39 keeps, count as the same.
///
/// So equal skeletons there are equal skeletons here, for whole handles too: both work letter by
/// letter.
#[test]
fn what_uts_39_makes_one_is_one() {
    for letter in letters() {
        let uts39: Vec<char> = unicode_security::skeleton(&letter.to_string()).collect();
        let ours = folded([letter].into_iter());
        assert_eq!(folded(of_uts39(&uts39)), ours, "{letter} {uts39:?}");
    }
}

/// The letters of our alphabet for what stands in UTS 39's skeletons.
fn of_uts39(skeleton: &[char]) -> impl Iterator<Item = char> {
    let letters: &[char] = match skeleton {
        // A dotless letter with small tah or three dots is how UTS 39 writes these.
        ['ى', '\u{0615}'] => &['ٹ'],
        ['ى', '\u{06DB}'] => &['پ'],
        ['ح', '\u{06DB}'] => &['څ'],
        ['د', '\u{0615}'] => &['ڈ'],
        ['د', '\u{06DB}'] => &['ڏ'],
        ['ر', '\u{0615}'] => &['ڑ'],
        ['ر', '\u{06DB}'] => &['ژ'],
        ['س', '\u{06DB}'] => &['ش'],
        ['ن', '\u{0615}'] => &['ݨ'],
        ['O'] => &['o'],
        ['ؤ'] => &['و'],
        // Hamza above and below, madda (as a tilde), the dots of teh marbuta.
        [letter, '\u{0654}' | '\u{0655}' | '\u{0303}' | '\u{0308}'] => std::slice::from_ref(letter),
        letters => letters,
    };
    letters.iter().copied()
}

/// A fold that claims UTS 39 as its reason has it there.
#[test]
fn reasons_are_true() {
    let uts39 = |text: &str| unicode_security::skeleton(text).collect::<String>();
    for (from, to, reason) in FOLDS {
        for letter in from.chars() {
            let one = uts39(&letter.to_string()).to_lowercase() == uts39(to).to_lowercase();
            assert_eq!(one, *reason == Reason::Uts39, "{letter} {to}");
        }
    }
}

/// A label of the log is that of a handle only if it is a skeleton.
#[test]
fn a_label_is_that_of_a_skeleton() {
    let skeleton = look("فاطمہ");
    assert_eq!(Skeleton::of_label(&skeleton.label()), Some(skeleton));
    for label in [
        &b"u:mmm"[..],
        b"u:ab",
        b"a:abc",
        b"u:",
        b"u:\xff\xff\xff",
        b"",
        &[b"u:", &[b'a'; HANDLE_MAX_BYTES + 1][..]].concat(),
    ] {
        assert_eq!(Skeleton::of_label(label), None, "{label:?}");
    }
}

proptest! {
    /// Whatever is typed: no panic, and what is taken stays as it is when it is taken again.
    #[test]
    fn a_handle_typed_again_is_the_same(text in any::<String>()) {
        if let Ok(handle) = Handle::typed(&text) {
            prop_assert_eq!(&Handle::typed(handle.as_str()).unwrap(), &handle);
            prop_assert_eq!(Handle::new(handle.as_str()).unwrap(), handle);
        }
    }

    /// A skeleton is its own skeleton, fits its label, and belongs to the display form as well as to
    /// what was typed.
    #[test]
    fn a_skeleton_is_its_own(text in "[a-zA-Zء-ۓ0-9۰-۹٠-٩ـ_ ً-ْ]{0,40}") {
        if let Ok(handle) = Handle::typed(&text) {
            let skeleton = handle.skeleton();
            prop_assert!(skeleton.label().len() <= 2 + HANDLE_MAX_BYTES);
            prop_assert_eq!(Skeleton::of_label(&skeleton.label()), Some(skeleton.clone()));
            prop_assert_eq!(folded(skeleton.as_str().chars()), skeleton.as_str());
            prop_assert_eq!(look(handle.as_str()), skeleton);
        }
    }

    /// Letters of both scripts never pass, wherever they stand.
    #[test]
    fn mixed_scripts_never_pass(latin in "[a-z]{1,9}", arabic in "[ا-غف-ي]{1,9}", turn in any::<bool>()) {
        let text = if turn { latin + &arabic } else { arabic + &latin };
        prop_assert!(Handle::typed(&text).is_err());
    }

    /// Equal skeletons by UTS 39 are equal skeletons by ours, for words as for letters.
    #[test]
    fn words_that_uts_39_makes_one_are_one(
        choices in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 3..12)
    ) {
        let all: Vec<char> = letters().filter(|c| *c != JOINER).collect();
        let uts39 = |text: &str| unicode_security::skeleton(text).collect::<String>();
        let (mut one, mut other) = (String::new(), String::new());
        for (letter, twin) in choices {
            let letter = *letter.get(&all);
            let twins: Vec<char> = all
                .iter()
                .copied()
                .filter(|c| uts39(&c.to_string()) == uts39(&letter.to_string()))
                .collect();
            one.push(letter);
            other.push(*twin.get(&twins));
        }
        prop_assert_eq!(uts39(&one), uts39(&other));
        prop_assert_eq!(folded(one.chars()), folded(other.chars()));
    }
}

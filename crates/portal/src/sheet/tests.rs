//! Files as people and spreadsheets make them, named after the rows of the catalogue of bad input.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tandem_domain::eligible::NotEligible;
use tandem_domain::policy::Service;
use tandem_domain::user_state::UserFacts;
use tandem_domain::{ObjectId, PbxUserId, Profile};
use tandem_store::admin::accounts::Mapping;
use tandem_store::portal::imports::Listed;
use tandem_store::portal::users::{Candidate, Licences, UserRow};
use uuid::Uuid;

use super::cell::{guarded, plain};
use super::*;

const HEAD: &str = "pbx_user,microsoft_user,service,number\n";

fn oid(i: u128) -> ObjectId {
    ObjectId(Uuid::from_u128(i))
}

fn user(id: &str, mapped: Option<u128>) -> UserRow {
    let mapping = mapped.map(|i| Mapping { microsoft_user: oid(i), service: Service::Voice, number: None });
    UserRow {
        user: PbxUserId(id.to_owned()),
        profile: Some(Profile { display_name: Some(format!("User {id}")), ..Profile::default() }),
        gone: false,
        upn: mapped.map(|i| format!("m{i}@customer.example")),
        mapping,
        microsoft_name: None,
        seen_at: None,
        facts: UserFacts::default(),
        code: None,
        detail: None,
        wait: None,
        confirmed_at: None,
        settled_at: None,
    }
}

/// Users `0101` to `0105`, of which the first `mapped` are mapped to Microsoft users 1, 2 ...; ten Microsoft users.
fn known(mapped: u128, sold: i64) -> Known {
    let users: Vec<UserRow> = (1..=5).map(|i| user(&format!("010{i}"), (i <= mapped).then_some(i))).collect();
    let listed = (1..=10).map(|i| {
        let mapped_to = (i <= mapped).then(|| PbxUserId(format!("010{i}")));
        let why_not = (i == 10).then_some(NotEligible::Room);
        let candidate = Candidate { upn: format!("M{i}@Customer.example"), why_not, gone: i == 9, mapped_to };
        Listed { oid: oid(i), candidate }
    });
    Known {
        listed: listed.collect(),
        users: users.into_iter().map(|row| (row.user.clone(), row)).collect(),
        numbers_elsewhere: BTreeSet::from(["+4599999999".to_owned()]),
        users_elsewhere: BTreeSet::from([oid(8)]),
        licences: Licences { sold, used: i64::try_from(mapped).unwrap(), leaving: 0 },
    }
}

fn judged(rows: &str, known: &Known) -> Judged {
    judge(&read(format!("{HEAD}{rows}").as_bytes()).unwrap(), known)
}

/// What becomes of each row: a word, or the code of what is wrong.
fn words(judged: &Judged) -> Vec<String> {
    let word = |row: &Row| match &row.verdict {
        Verdict::Bad(problem) => format!("{} {}", row.line, problem.code()),
        verdict => format!("{} {}", row.line, crate::pages::imports::word(verdict)),
    };
    judged.rows.iter().map(word).collect()
}

fn refused(file: &[u8]) -> (&'static str, Option<u64>) {
    let fault = read(file).unwrap_err();
    assert!(!fault.happened().is_empty() && !fault.todo().is_empty());
    (fault.code(), fault.line)
}

fn one(file: &[u8]) -> (String, String) {
    let cells = read(file).unwrap().remove(0).cells.unwrap();
    (cells.pbx_user, cells.microsoft_user)
}

#[test]
fn b43_empty_files_and_heads_that_are_missing_or_foreign_are_refused_in_any_other_order_taken() {
    assert_eq!(refused(b""), ("file_empty", None));
    assert_eq!(refused(b"\n \r\n"), ("file_empty", None));
    assert_eq!(refused(HEAD.as_bytes()), ("file_without_rows", None));
    assert_eq!(refused(b"0101,m1@customer.example\n"), ("header_missing", Some(1)));
    assert_eq!(refused(b"Nebenstelle;Microsoft-Benutzer\n0101;x\n"), ("header_missing", Some(1)));
    assert_eq!(refused(b"pbx_user,service\n0101,voice\n"), ("column_missing", Some(1)));
    assert_eq!(refused(b"pbx_user,microsoft_user,colour\n0101,x,red\n"), ("column_unknown", Some(1)));
    assert_eq!(refused(b"\npbx_user,microsoft_user,PBX User\n1,x,1\n"), ("column_twice", Some(2)));
    assert_eq!(one(b"Microsoft-User,STATE,PBX user\nx,In Teams,0101\n"), ("0101".into(), "x".into()));
}

#[test]
fn b44_separators_quotes_and_line_ends() {
    for file in [
        "pbx_user;microsoft_user\n0101;x\n",
        "pbx_user\tmicrosoft_user\r\n0101\tx",
        "pbx_user,microsoft_user\r0101,x\r",
        "\"pbx_user\",\"microsoft_user\"\r\n\r\n\"0101\",\"x\"\r\n",
    ] {
        assert_eq!(one(file.as_bytes()), ("0101".into(), "x".into()), "{file:?}");
    }
    let file = b"pbx_user,name,microsoft_user\n0101,\"two\nlines, and a \"\"quote\"\"\",x\n0102,y,z,1\n";
    let lines = read(file).unwrap();
    assert_eq!(lines.iter().map(|line| line.line).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(lines[1].cells, None, "a cell too many");
    assert_eq!(refused(b"pbx_user,microsoft_user\n0101,\"x\n0102,y\n"), ("quote_open", Some(2)));
    assert_eq!(refused(b"pbx_user,microsoft_user\n0101,x\"y\n"), ("quote_stray", Some(2)));
    assert_eq!(refused(b"pbx_user,microsoft_user\n0101,\"x\"y\n"), ("quote_stray", Some(2)));
}

#[test]
fn b45_utf_8_and_marked_utf_16_are_read_and_nothing_else_is_guessed() {
    let text = "pbx_user,microsoft_user\ns\u{f8}ren,x\n";
    let wide = |unit: fn(u16) -> [u8; 2], mark: [u8; 2]| -> Vec<u8> {
        mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect()
    };
    let marked = [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat();
    for file in [
        text.as_bytes().to_vec(),
        marked,
        wide(u16::to_le_bytes, [0xff, 0xfe]),
        wide(u16::to_be_bytes, [0xfe, 0xff]),
    ] {
        assert_eq!(one(&file), ("s\u{f8}ren".into(), "x".into()));
    }
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert_eq!(refused(&latin), ("file_encoding", Some(2)));
    assert_eq!(refused(&[text.as_bytes(), b"\xff"].concat()), ("file_encoding", Some(3)));
    let cut = wide(u16::to_le_bytes, [0xff, 0xfe]);
    assert_eq!(refused(&cut[..cut.len() - 1]), ("file_encoding", None));
    assert_eq!(refused(b"pbx_user,microsoft_user\n01\x0001,x\n"), ("file_not_text", Some(2)));
    assert_eq!(refused(&wide(u16::to_le_bytes, [0xff, 0xfe])[2..]), ("file_encoding", Some(2)));
}

#[test]
fn b46_rows_columns_and_cells_have_limits() {
    let rows = |count: usize| format!("{HEAD}{}", "0101,,,\n".repeat(count));
    assert_eq!(read(rows(20_000).as_bytes()).unwrap().len(), 20_000);
    assert_eq!(refused(rows(20_001).as_bytes()), ("rows_too_many", Some(20_002)));
    assert_eq!(refused(format!("{HEAD}{}", ",".repeat(5_000)).as_bytes()), ("columns_too_many", Some(2)));
    assert_eq!(refused(format!("{HEAD}0101,{}", "x".repeat(1_001)).as_bytes()), ("cell_too_long", Some(2)));
    assert_eq!(refused("x".repeat(1_000_000).as_bytes()), ("cell_too_long", Some(1)));
}

#[test]
fn b47_formulas_are_escaped_on_export() {
    for odd in ["=HYPERLINK(\"https://evil.example\")", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\0x", "'x"] {
        assert!(guarded(odd).starts_with('\''), "{odd:?}");
        assert_eq!(plain(&guarded(odd)), odd);
    }
    assert_eq!(guarded("Ana = Bo"), "Ana = Bo");
    // where commas do not separate, a cell begins within ours
    for (odd, safe) in [
        ("x;=1+1;", "x;'=1+1;"),
        ("x; \"=1+1", "x;' \"=1+1"),
        ("x\t@A1", "x\t'@A1"),
        ("x\n=1", "x\n'=1"),
        ("x;'=1", "x;''=1"),
    ] {
        assert_eq!(guarded(odd), safe);
        assert_eq!(plain(safe), odd);
    }
    let mut row = user("=1+1", Some(1));
    row.profile = Some(Profile {
        display_name: Some("=HYPERLINK(\"x\")".to_owned()),
        did_numbers: vec!["+4512345678".to_owned()],
        ..Profile::default()
    });
    row.mapping.as_mut().unwrap().number = Some("+4512345678".to_owned());
    let table = write(&[row.clone()]).unwrap();
    let text = String::from_utf8(table.clone()).unwrap();
    assert!(text.contains(",'+4512345678,"), "{text}");
    assert!(text.contains("\"'=HYPERLINK(\"\"x\"\")\""), "{text}");
    assert!(text.starts_with("pbx_user,name,extension,pbx_numbers,service,microsoft_user,number,state\r\n"));
    // a number is a number again, and nothing changes
    let mut known = known(0, 5);
    known.users = BTreeMap::from([(row.user.clone(), row)]);
    assert_eq!(words(&judge(&read(&table).unwrap(), &known)), ["2 unchanged"]);
    // a formula that is uploaded stays a text, which names nobody
    assert_eq!(words(&judged("=1+2,x,,\n", &known)), ["2 pbx_user_unknown"]);
}

#[test]
fn b48_what_a_spreadsheet_damages_is_told() {
    let known = known(0, 5);
    for (number, code) in [
        ("4.512E+09", "2 number_damaged"),
        ("\"4,512E+09\"", "2 number_damaged"),
        ("4512345678", "2 number_not_canonical"),
        ("004512345678", "2 number_not_canonical"),
        ("+45 12 34 56 78", "2 number_not_canonical"),
        ("'+4512345678", "2 add"),
        ("\u{a0}+4512345678\u{a0}", "2 add"),
        ("+4512345678", "2 add"),
    ] {
        assert_eq!(words(&judged(&format!("0101,m1@customer.example,voice,{number}\n"), &known)), [code]);
    }
    // the key without its zero is another key
    assert_eq!(words(&judged("101,m1@customer.example,,\n", &known)), ["2 pbx_user_unknown"]);
}

#[test]
fn b49_rows_that_say_the_same_twice_are_one_and_rows_that_conflict_are_refused() {
    let known = known(0, 5);
    let same = format!("0101,m1@customer.example,voice,\n0101,{},Voice,\n", oid(1));
    assert_eq!(words(&judged(&same, &known)), ["2 add", "3 repeated"]);
    let conflict = "0101,m1@customer.example,,\n0101,m2@customer.example,,\n0101,,,\n";
    assert_eq!(words(&judged(conflict, &known)), ["2 add", "3 rows_conflict", "4 rows_conflict"]);
    let twice = format!("0101,m1@customer.example,,\n0102,{},,\n", oid(1));
    assert_eq!(words(&judged(&twice, &known)), ["2 add", "3 microsoft_user_twice"]);
    let number = "0101,m1@customer.example,,+4512345678\n0102,m2@customer.example,,+4512345678\n";
    assert_eq!(words(&judged(number, &known)), ["2 add", "3 number_twice"]);
}

#[test]
fn b50_unknown_users_and_rows_that_cannot_be_meant_are_told_and_spoil_the_whole() {
    let known = known(1, 20);
    let rows = "0109,m1@customer.example,,\n0102,ana@other.example,,\n0103,m10@customer.example,,\n0104,m9@customer.example,,\n\
                0105,,voice,\n,m3@customer.example,,\n0102,m2@customer.example,fax,\n0102,m2@customer.example,app,+4512345678\n0102\n\
                0105,m1@customer.example,,\n0102,m2@customer.example,,\n";
    let judged = judged(rows, &known);
    assert_eq!(
        words(&judged),
        [
            "2 pbx_user_unknown",
            "3 microsoft_user_unknown",
            "4 microsoft_user_not_eligible",
            "5 microsoft_user_unknown",
            "6 microsoft_user_missing",
            "7 pbx_user_missing",
            "8 service_unknown",
            "9 app_without_number",
            "10 row_cells",
            "11 microsoft_user_taken",
            "12 add",
        ]
    );
    assert!(!judged.clean());
}

#[test]
fn b50_one_bad_row_of_ten_thousand_spoils_the_whole() {
    let users = (0..10_000).map(|i| user(&format!("u{i}"), None));
    let listed = |i: u128| {
        let candidate =
            Candidate { upn: format!("m{i}@customer.example"), why_not: None, gone: false, mapped_to: None };
        Listed { oid: oid(i), candidate }
    };
    let known = Known {
        users: users.map(|row| (row.user.clone(), row)).collect(),
        listed: (0..10_000).filter(|i| *i != 4711).map(listed).collect(),
        users_elsewhere: BTreeSet::new(),
        ..known(0, 10_000)
    };
    let rows: String = (0..10_000).map(|i| format!("u{i},m{i}@customer.example,,\n")).collect();
    let judged = judged(&rows, &known);
    assert_eq!((judged.changes(), judged.clean()), (9_999, false));
    assert_eq!(words(&judged)[4711], "4713 microsoft_user_unknown");
}

#[test]
fn b51_other_files_under_the_name_of_a_table_are_refused() {
    for other in [
        &b"PK\x03\x04\x14\x00\x06\x00"[..],
        b"MZ\x90\x00\x03",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"%PDF-1.7\n",
        b"\x7fELF\x02",
        b"<!doctype html><table><tr><td>pbx_user</td></tr></table>",
        b"\xef\xbb\xbf \n<?xml version=\"1.0\"?>",
    ] {
        assert_eq!(refused(other).0, "file_not_csv", "{other:?}");
    }
}

#[test]
fn b52_a_file_that_takes_away_more_than_the_guard_lets_pass_says_so() {
    let known = known(5, 5);
    assert!(!judged("0101,,,\n0102,,,\n0103,,,\n", &known).held);
    let many = judged("0101,,,\n0102,,,\n0103,,,\n0104,,,\n", &known);
    assert!(many.held && many.clean(), "it can be meant");
}

#[test]
fn b53_what_another_account_has_is_refused_without_saying_whose() {
    let known = known(0, 5);
    let judged = judged("0101,m8@customer.example,,\n0102,m2@customer.example,,+4599999999\n", &known);
    assert_eq!(words(&judged), ["2 microsoft_user_in_use", "3 number_in_use"]);
}

#[test]
fn b3_licences_cover_the_whole_file_or_none_of_it() {
    use crate::fault::mapping::MappingFault;
    let mut known = known(2, 2);
    assert_eq!(judged("0103,m3@customer.example,,\n", &known).licences, Some(MappingFault::NoLicence));
    let moved = "0101,,,\n0103,m1@customer.example,,\n";
    assert_eq!(words(&judged(moved, &known)), ["2 unassign", "3 add"]);
    assert_eq!(judged(moved, &known).licences, None);
    // P13: what still stands in Teams is not free yet
    known.users.get_mut(&PbxUserId("0101".to_owned())).unwrap().facts.standing = true;
    assert_eq!(judged(moved, &known).licences, Some(MappingFault::LicenceLeaving));
    // two users change places without a further licence
    let swap = "0101,m2@customer.example,,\n0102,m1@customer.example,,\n";
    let swapped = judged(swap, &known);
    assert_eq!((words(&swapped), swapped.licences), (vec!["2 change".into(), "3 change".into()], None));
}

proptest! {
    #[test]
    fn b47_what_is_written_is_read_again(cells in prop::collection::vec("(\\PC|[=+@\t'\",;\n-]){0,20}", 1..8)) {
        let rows: Vec<UserRow> = cells.iter().enumerate().map(|(i, text)| {
            let mut row = user(&format!("{text}{i}"), Some(1));
            row.user = PbxUserId(row.user.as_str().trim().replace(char::is_control, ""));
            row.profile = Some(Profile { display_name: Some(text.clone()), ..Profile::default() });
            row
        }).collect();
        let table = write(&rows).unwrap();
        let lines = read(&table).unwrap();
        prop_assert_eq!(lines.len(), rows.len());
        for (line, row) in lines.iter().zip(&rows) {
            let found = line.cells.as_ref().map(|cells| cells.pbx_user.as_str());
            prop_assert_eq!(found, Some(row.user.as_str()));
        }
        // as somebody else's reader sees it, no cell acts, and all are there
        let mut reader = csv::ReaderBuilder::new().from_reader(table.as_slice());
        for (record, text) in reader.records().zip(&cells) {
            let record = record.unwrap();
            let mut parts = record.iter().flat_map(|cell| cell.split([';', '\n']));
            prop_assert!(parts.all(|part| !part.starts_with(['=', '+', '-', '@', '\t', '\r', '\0'])));
            prop_assert_eq!(record.get(1).map(plain), Some(text.clone()));
        }
    }

    #[test]
    fn no_file_makes_the_reader_fail_otherwise(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,80}") {
        let _ = read(&bytes).map(|lines| judge(&lines, &known(2, 5)));
        let _ = read(format!("{HEAD}{text}").as_bytes()).map(|lines| judge(&lines, &known(2, 5)));
    }
}

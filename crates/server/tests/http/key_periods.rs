//! Key exchange of keys that rotate: a batch of periods in one question, and what rows know of it.

use crate::house::House;
use crate::key_exchange::{V2, WIDEVINE, keys_of, kid};
use model::{ContentId, KeyPeriod, PeriodSpan, Timestamp};

/// A question for one key in each of some periods; a period is its attributes.
fn in_periods(keys: &[(u8, &str)]) -> String {
    let each =
        |write: &dyn Fn(&(u8, &str)) -> String| -> String { keys.iter().map(write).collect() };
    let uuid = |n: u8| kid(n).to_uuid();
    let list = each(&|(n, _)| {
        format!(r#"<ContentKey kid="{}" commonEncryptionScheme="cbcs"/>"#, uuid(*n))
    });
    let systems = each(&|(n, _)| {
        format!(r#"<DRMSystem kid="{}" systemId="{WIDEVINE}"><PSSH/></DRMSystem>"#, uuid(*n))
    });
    let periods = each(&|(n, period)| format!(r#"<ContentKeyPeriod id="p{n}" {period}/>"#));
    let rules = each(&|(n, _)| {
        format!(
            r#"<ContentKeyUsageRule kid="{}" intendedTrackType="AUDIO"><KeyPeriodFilter periodId="p{n}"/><AudioFilter/></ContentKeyUsageRule>"#,
            uuid(*n)
        )
    });
    format!(
        r#"<CPIX xmlns="urn:dashif:org:cpix" contentId="film" version="2.4"><ContentKeyList>{list}</ContentKeyList><DRMSystemList>{systems}</DRMSystemList><ContentKeyPeriodList>{periods}</ContentKeyPeriodList><ContentKeyUsageRuleList>{rules}</ContentKeyUsageRuleList></CPIX>"#
    )
}

#[tokio::test]
async fn rows_know_the_periods_of_a_question() {
    let house = House::new().await;
    let ask = async |keys: &[(u8, &str)]| {
        house.ask(V2, &[("X-Speke-Version", "2.1")], &in_periods(keys)).await
    };
    let first = r#"index="0" start="2026-11-28T07:00:00Z" end="2026-11-28T07:00:10.0005Z""#;
    let second = r#"index="1" start="2026-11-28T07:00:10.0005Z" duration="PT10S""#;
    let batch = [
        (1, first),
        (2, second),
        (3, r#"index="2""#),
        (4, r#"startOffset="PT5S" endOffset="PT9S""#),
    ];
    let answer = ask(&batch).await;
    assert_eq!(answer.status, 200);
    assert_eq!(keys_of(&answer).len(), 4);
    let film = ContentId::parse("film").unwrap();
    let rows = house.store.keys_of(&film).await.unwrap();
    let begin = 1_795_849_200_000;
    let span = |from, until| {
        Some(PeriodSpan { begins: Timestamp(begin + from), ends: Timestamp(begin + until) })
    };
    let found: Vec<_> = rows.iter().map(|row| row.period.unwrap()).collect();
    let of = |index, span| KeyPeriod { index, span };
    let expected = [of(0, span(0, 10_001)), of(1, span(10_000, 20_001)), of(2, None), of(5, None)];
    assert_eq!(found, expected);
    assert_eq!(keys_of(&ask(&batch).await), keys_of(&answer), "asked again, the same");
    let alone = ask(&[(1, r#"index="0""#)]).await;
    assert!(keys_of(&alone).is_subset(&keys_of(&answer)), "the number alone names the period too");
    let later = r#"index="1" start="2026-11-28T08:00:10Z" duration="PT10S""#;
    for other in [later, r#"index="3""#, r#"label="x""#] {
        assert_eq!(ask(&[(2, other)]).await.status, 422, "{other}");
    }
    let between = house.store.keys_between(&film, Timestamp(begin), Timestamp(begin + 1)).await;
    assert_eq!(between.unwrap().iter().map(|row| row.kid).collect::<Vec<_>>(), [kid(1)]);
}

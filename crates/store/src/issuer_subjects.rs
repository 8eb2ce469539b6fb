//! Accounts of an identity provider: who they are there, and their sign-ins by its tokens.

use crate::accounts::read_account;
use crate::database::{Durability, Transaction, repeated};
use crate::error::Failure;
use crate::query::query;
use crate::{Store, StoreError};
use model::{Account, AccountId, PlanName, SignInId, Timestamp};

/// The account behind an issuer's subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRow {
    /// The account.
    pub account: Account,
    /// Whether the sign-in that was asked about is noted and covers the token.
    pub is_noted: bool,
    /// When the newest token was issued whose word on the plan was followed.
    pub told: Timestamp,
}

/// A sign-in by a token of an issuer.
#[derive(Clone, Copy, Debug)]
pub struct IssuerSignIn {
    /// The sign-in.
    pub id: SignInId,
    /// Its account.
    pub account: AccountId,
    /// When the token was issued.
    pub issued: Timestamp,
    /// When the token ends.
    pub expires: Timestamp,
    /// Now.
    pub now: Timestamp,
}

impl Store {
    /// The account of a subject, and whether its sign-in by a token issued and ending at these
    /// times is noted.
    pub async fn subject(
        &self,
        (issuer, subject): (&str, &str),
        sign_in: SignInId,
        issued: Timestamp,
        expires: Timestamp,
    ) -> Result<Option<SubjectRow>, StoreError> {
        let select = query(
            "SELECT accounts.id AS account_id, accounts.name AS account_name, \
             accounts.plan AS account_plan, accounts.subscription AS account_subscription, told_at, \
             sign_ins.started_at AS noted_at \
             FROM issuer_subjects JOIN accounts ON accounts.id = issuer_subjects.account \
             LEFT JOIN sign_ins ON sign_ins.id = $3 AND sign_ins.account = accounts.id \
             AND sign_ins.started_at <= $4 AND sign_ins.expires_at >= $5 \
             WHERE issuer = $1 AND subject = $2",
        );
        let select = select.bind(issuer).bind(subject).bind(sign_in.as_bytes());
        let Some(row) = self.rows.row(select.bind(issued).bind(expires)).await? else {
            return Ok(None);
        };
        let (account, told) = (read_account(&row)?, row.time("told_at")?);
        Ok(Some(SubjectRow { account, told, is_noted: row.optional_time("noted_at")?.is_some() }))
    }

    /// Says that a subject of an issuer is an account.
    ///
    /// Errors: [`StoreError::Conflict`] when the subject is an account already,
    /// [`StoreError::Missing`] when there is no such account.
    pub async fn link_subject(
        &self,
        (issuer, subject): (&str, &str),
        account: AccountId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let link = link(issuer, subject, account, now, Timestamp(0));
        self.rows.run(Durability::Power, link).await.map(drop)
    }

    /// Takes a subject's account away from it. The account stays. False: it had none.
    pub async fn unlink_subject(
        &self,
        (issuer, subject): (&str, &str),
    ) -> Result<bool, StoreError> {
        let delete = query("DELETE FROM issuer_subjects WHERE issuer = $1 AND subject = $2");
        let delete = delete.bind(issuer).bind(subject);
        Ok(self.rows.run(Durability::Power, delete).await? > 0)
    }

    /// Makes the account of a subject: both rows or none. It has no password. `told`: when the
    /// token was issued that names its plan.
    ///
    /// Errors: [`StoreError::Conflict`] when the subject has an account, or the name or the id is
    /// taken; [`StoreError::Missing`] when there is no such plan.
    pub async fn provision(
        &self,
        account: &Account,
        (issuer, subject): (&str, &str),
        told: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let insert = query(
                "INSERT INTO accounts (id, name, plan, subscription, password_hash, created_at) \
                 VALUES ($1, $2, $3, $4, '', $5)",
            )
            .bind(account.id.as_bytes())
            .bind(account.name.as_str())
            .bind(account.plan.as_str())
            .bind(account.subscription.name())
            .bind(now);
            open.run(insert).await?;
            open.run(link(issuer, subject, account.id, now, told)).await?;
            open.commit().await
        })
        .await
    }

    /// Gives the account of a subject the plan that a token names, unless a token that was issued
    /// later has spoken. False: one has, or there is no such subject.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such plan.
    pub async fn follow_plan(
        &self,
        (issuer, subject): (&str, &str),
        plan: &PlanName,
        told: Timestamp,
    ) -> Result<bool, StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            let newer = query(
                "UPDATE issuer_subjects SET told_at = $3 \
                 WHERE issuer = $1 AND subject = $2 AND told_at < $3",
            );
            if open.run(newer.bind(issuer).bind(subject).bind(told)).await? == 0 {
                return Ok(false);
            }
            let change = query(
                "UPDATE accounts SET plan = $3 WHERE id = (SELECT account FROM issuer_subjects \
                 WHERE issuer = $1 AND subject = $2)",
            );
            open.run(change.bind(issuer).bind(subject).bind(plan.as_str())).await?;
            open.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Notes a sign-in by a token of an issuer, or that it lasts longer, and forgets the account's
    /// expired ones. False: it was ended here after the token was issued.
    ///
    /// Errors: [`StoreError::Missing`] when there is no such account; [`StoreError::Conflict`]
    /// where the sign-in is another account's.
    pub async fn note_issuer_sign_in(&self, sign_in: &IssuerSignIn) -> Result<bool, StoreError> {
        let IssuerSignIn { id, account, issued, expires, now } = *sign_in;
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            lock(&mut open, account).await?;
            let ended = query("SELECT id FROM ended_sign_ins WHERE id = $1 AND ended_at >= $2");
            if !open.rows(ended.bind(id.as_bytes()).bind(issued)).await?.is_empty() {
                return Ok(false);
            }
            let expired = query("DELETE FROM sign_ins WHERE account = $1 AND expires_at <= $2");
            open.run(expired.bind(account.as_bytes()).bind(now)).await?;
            let upsert = query(
                "INSERT INTO sign_ins (id, account, started_at, expires_at) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET \
                 started_at = CASE WHEN sign_ins.started_at < excluded.started_at \
                 THEN sign_ins.started_at ELSE excluded.started_at END, \
                 expires_at = CASE WHEN sign_ins.expires_at > excluded.expires_at \
                 THEN sign_ins.expires_at ELSE excluded.expires_at END \
                 WHERE sign_ins.account = excluded.account",
            );
            let upsert = upsert.bind(id.as_bytes()).bind(account.as_bytes()).bind(issued);
            if open.run(upsert.bind(expires)).await? == 0 {
                return Err(StoreError::Conflict.into());
            }
            open.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Ends a sign-in by tokens of an issuer: those issued until now count no more. `forget`:
    /// when the last of them has ended by itself.
    pub async fn end_issuer_sign_in(
        &self,
        id: SignInId,
        account: AccountId,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<(), StoreError> {
        repeated(|| async {
            let mut open = self.rows.begin(Durability::Power).await?;
            lock(&mut open, account).await?;
            let forgotten =
                query("DELETE FROM ended_sign_ins WHERE account = $1 AND forget_at <= $2");
            open.run(forgotten.bind(account.as_bytes()).bind(now)).await?;
            let ended = query(
                "INSERT INTO ended_sign_ins (id, account, ended_at, forget_at) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET \
                 ended_at = excluded.ended_at, forget_at = excluded.forget_at",
            );
            let ended = ended.bind(id.as_bytes()).bind(account.as_bytes());
            open.run(ended.bind(now).bind(forget)).await?;
            let delete = query("DELETE FROM sign_ins WHERE id = $1 AND account = $2");
            open.run(delete.bind(id.as_bytes()).bind(account.as_bytes())).await?;
            open.commit().await
        })
        .await
    }
}

async fn lock(open: &mut Transaction, account: AccountId) -> Result<(), Failure> {
    let lock = query("SELECT id FROM accounts WHERE id = $1 FOR UPDATE");
    open.lock(lock.bind(account.as_bytes())).await
}

fn link(
    issuer: &str,
    subject: &str,
    account: AccountId,
    now: Timestamp,
    told: Timestamp,
) -> crate::query::Query {
    query(
        "INSERT INTO issuer_subjects (issuer, subject, account, linked_at, told_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(issuer)
    .bind(subject)
    .bind(account.as_bytes())
    .bind(now)
    .bind(told)
}

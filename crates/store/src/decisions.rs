//! What a decision about playing stands on: account, plan and title, read at once.

use crate::accounts::{read_account, read_plan};
use crate::query::query;
use crate::titles::read_title;
use crate::{Store, StoreError};
use model::{Account, AccountId, ContentId, Plan, Title};

/// The rows that the evaluator judges, of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRows {
    /// Who asks.
    pub account: Account,
    /// The account's plan; absent when it is gone.
    pub plan: Option<Plan>,
    /// What is asked for; absent when there is no such title.
    pub title: Option<Title>,
}

impl Store {
    /// Account, plan and title by one statement: on the license path a third of the cost of
    /// three, and no change can come between them. None: there is no such account.
    pub async fn decision_rows(
        &self,
        account: AccountId,
        content_id: &ContentId,
    ) -> Result<Option<DecisionRows>, StoreError> {
        let select = query(
            "SELECT accounts.id AS account_id, accounts.name AS account_name, \
             accounts.plan AS account_plan, accounts.subscription AS account_subscription, \
             plans.name AS plan_name, plans.includes_streaming AS plan_includes_streaming, \
             plans.max_streams AS plan_max_streams, plans.max_offline AS plan_max_offline, \
             plans.max_devices AS plan_max_devices, titles.*, policies.document AS policy \
             FROM accounts LEFT JOIN plans ON plans.name = accounts.plan \
             LEFT JOIN titles ON titles.content_id = $2 \
             LEFT JOIN policies ON policies.name = titles.policy_name WHERE accounts.id = $1",
        );
        let select = select.bind(account.as_bytes()).bind(content_id);
        let Some(row) = self.rows.row(select).await? else { return Ok(None) };
        let has = |column| Ok::<_, StoreError>(row.optional_text(column)?.is_some());
        Ok(Some(DecisionRows {
            account: read_account(&row)?,
            plan: has("plan_name")?.then(|| read_plan(&row)).transpose()?,
            title: has("content_id")?.then(|| read_title(&row)).transpose()?,
        }))
    }
}

//! How the models' objects are kept in PostgreSQL, and how each call is asked.
//!
//! What is one statement is asked as one. Transfers and transactions on lists are serializable transactions, run
//! again until the time-out when they lose against another one. Until its COMMIT is sent, whatever goes wrong
//! with a transaction is definite.

use std::sync::Arc;

use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::session::{Session, Trouble, said};
use crate::history::{Call, Key, Outcome, Reply, Step};
use crate::workload::Model;

/// Each is safe to repeat.
const TABLES: &str = "
CREATE SCHEMA IF NOT EXISTS firedrill;
CREATE TABLE IF NOT EXISTS firedrill.registers
    (run text, key bigint, value bigint NOT NULL, PRIMARY KEY (run, key));
CREATE TABLE IF NOT EXISTS firedrill.counters
    (run text, key bigint, total bigint NOT NULL, PRIMARY KEY (run, key));
CREATE TABLE IF NOT EXISTS firedrill.elements
    (run text, key bigint, element bigint, PRIMARY KEY (run, key, element));
CREATE TABLE IF NOT EXISTS firedrill.accounts
    (run text, key bigint, balance bigint NOT NULL, PRIMARY KEY (run, key));
CREATE TABLE IF NOT EXISTS firedrill.lists
    (run text, key bigint, items bigint[] NOT NULL, PRIMARY KEY (run, key));
";

const OPEN_ACCOUNTS: &str = "INSERT INTO firedrill.accounts (run, key, balance) \
    SELECT $1, key, $3 FROM generate_series(0, $2 - 1) AS key ON CONFLICT DO NOTHING";

const READ: &str = "SELECT value FROM firedrill.registers WHERE run = $1 AND key = $2";
const WRITE: &str = "INSERT INTO firedrill.registers (run, key, value) VALUES ($1, $2, $3) \
    ON CONFLICT (run, key) DO UPDATE SET value = EXCLUDED.value";
const CAS: &str = "UPDATE firedrill.registers SET value = $4 \
    WHERE run = $1 AND key = $2 AND value = $3";

const TOTAL: &str = "SELECT total FROM firedrill.counters WHERE run = $1 AND key = $2";
const ADD: &str = "INSERT INTO firedrill.counters AS c (run, key, total) VALUES ($1, $2, $3) \
    ON CONFLICT (run, key) DO UPDATE SET total = c.total + EXCLUDED.total";

const ELEMENTS: &str =
    "SELECT element FROM firedrill.elements WHERE run = $1 AND key = $2 ORDER BY element";
const INSERT: &str = "INSERT INTO firedrill.elements (run, key, element) VALUES ($1, $2, $3) \
    ON CONFLICT DO NOTHING";

const BALANCES: &str = "SELECT key, balance FROM firedrill.accounts WHERE run = $1";
const PAY: &str = "UPDATE firedrill.accounts SET balance = balance - $3 \
    WHERE run = $1 AND key = $2 AND balance >= $3";
const RECEIVE: &str =
    "UPDATE firedrill.accounts SET balance = balance + $3 WHERE run = $1 AND key = $2";

const ITEMS: &str = "SELECT items FROM firedrill.lists WHERE run = $1 AND key = $2";
const APPEND: &str = "INSERT INTO firedrill.lists AS l (run, key, items) \
    VALUES ($1, $2, ARRAY[$3::bigint]) \
    ON CONFLICT (run, key) DO UPDATE SET items = l.items || EXCLUDED.items";

/// The rows of one run.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    run: Arc<str>,
}

/// What a call came to, and whether its session may be asked again.
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) session_is_good: bool,
}

impl Answer {
    fn ok(reply: Reply) -> Answer {
        Answer { outcome: Outcome::Ok(reply), session_is_good: true }
    }
    fn of(call: &Call, trouble: Trouble) -> Answer {
        let why = trouble.why.into();
        let outcome = match trouble.definite || call.is_read() {
            true => Outcome::Fail(why),
            false => Outcome::Unknown(why),
        };
        Answer { outcome, session_is_good: trouble.session_is_good }
    }
}

/// How far a transaction came.
enum Ended {
    Committed(Reply),
    /// It was never asked to commit.
    Refused(String),
}

impl Objects {
    pub(super) fn new(run: &str) -> Objects {
        Objects { run: run.into() }
    }

    /// Makes the tables, and opens accounts that are not open.
    pub(super) async fn create(&self, session: &Session, accounts: u32) -> Result<(), String> {
        session.client.batch_execute(TABLES).await.map_err(|e| said(&e))?;
        if accounts > 0 {
            let (accounts, balance) = (i64::from(accounts), Model::OPENING_BALANCE);
            let opened = self.execute(session, OPEN_ACCOUNTS, &[accounts, balance]).await;
            opened.map_err(|trouble| trouble.why)?;
        }
        Ok(())
    }

    /// Asks. Reads that go wrong fail; changes that go wrong are unknown unless the server undid them.
    pub(super) async fn ask(&self, session: &Session, call: &Call, deadline: Instant) -> Answer {
        let statement = match call {
            Call::Transfer { .. } | Call::Txn { .. } => {
                return self.transact(session, call, deadline).await;
            }
            _ => self.statement(session, call).await,
        };
        match statement {
            Ok(Some(reply)) => Answer::ok(reply),
            Ok(None) => {
                let why = format!("client `postgres` cannot ask {call:?}").into();
                Answer { outcome: Outcome::Fail(why), session_is_good: true }
            }
            Err(trouble) => Answer::of(call, trouble),
        }
    }

    async fn statement(&self, session: &Session, call: &Call) -> Result<Option<Reply>, Trouble> {
        let number = |key: Key| i64::from(key);
        Ok(Some(match call {
            Call::Read { key } => Reply::Value(self.value(session, READ, *key).await?),
            Call::Write { key, value } => {
                self.execute(session, WRITE, &[number(*key), *value]).await?;
                Reply::Done
            }
            Call::Cas { key, from, to } => {
                let changed = self.execute(session, CAS, &[number(*key), *from, *to]).await?;
                Reply::Swapped(changed == 1)
            }
            Call::Total { key } => {
                Reply::Value(Some(self.value(session, TOTAL, *key).await?.unwrap_or(0)))
            }
            Call::Add { key, delta } => {
                self.execute(session, ADD, &[number(*key), *delta]).await?;
                Reply::Done
            }
            Call::Elements { key } => {
                let rows = self.query(session, ELEMENTS, &[number(*key)]).await?;
                let elements = rows.iter().map(|row| row.try_get(0));
                Reply::Values(elements.collect::<Result<_, _>>()?)
            }
            Call::Insert { key, element } => {
                self.execute(session, INSERT, &[number(*key), *element]).await?;
                Reply::Done
            }
            Call::Balances => {
                let rows = self.query(session, BALANCES, &[]).await?;
                let account = |row: &Row| {
                    let key: i64 = row.try_get(0)?;
                    Ok::<_, Trouble>((Key::try_from(key).unwrap_or(Key::MAX), row.try_get(1)?))
                };
                Reply::Balances(rows.iter().map(account).collect::<Result<_, _>>()?)
            }
            _ => return Ok(None),
        }))
    }

    /// Runs a transaction until it commits, is refused, or the time is over.
    async fn transact(&self, session: &Session, call: &Call, deadline: Instant) -> Answer {
        let mut races = 0;
        loop {
            match self.once(session, call).await {
                Ok(Ended::Committed(reply)) => return Answer::ok(reply),
                Ok(Ended::Refused(why)) => {
                    return Answer { outcome: Outcome::Fail(why.into()), session_is_good: true };
                }
                Err(trouble) if trouble.lost_a_race && Instant::now() < deadline => races += 1,
                Err(trouble) if trouble.lost_a_race => {
                    let why = format!("lost {} races: {}", races + 1, trouble.why).into();
                    return Answer { outcome: Outcome::Fail(why), session_is_good: true };
                }
                Err(trouble) => return Answer::of(call, trouble),
            }
        }
    }

    async fn once(&self, session: &Session, call: &Call) -> Result<Ended, Trouble> {
        let uncommitted = |trouble: Trouble| Trouble { definite: true, ..trouble };
        let begin = "BEGIN ISOLATION LEVEL SERIALIZABLE";
        session.client.batch_execute(begin).await.map_err(|e| uncommitted(e.into()))?;
        let reply = match call {
            Call::Transfer { from, to, amount } => {
                self.transfer(session, *from, *to, *amount).await
            }
            Call::Txn { steps } => self.steps(session, steps).await.map(Ok),
            _ => Ok(Err(format!("{call:?} is not asked as a transaction"))),
        };
        match reply {
            Ok(Ok(reply)) => {
                session.client.batch_execute("COMMIT").await?;
                Ok(Ended::Committed(reply))
            }
            Ok(Err(why)) => {
                session
                    .client
                    .batch_execute("ROLLBACK")
                    .await
                    .map_err(|e| uncommitted(e.into()))?;
                Ok(Ended::Refused(why))
            }
            Err(trouble) if trouble.session_is_good => {
                let undone = session.client.batch_execute("ROLLBACK").await;
                undone.map_err(|e| uncommitted(e.into()))?;
                Err(uncommitted(trouble))
            }
            Err(trouble) => Err(uncommitted(trouble)),
        }
    }

    /// `Err` in the answer: there is not enough money, or no such account.
    async fn transfer(
        &self,
        session: &Session,
        from: Key,
        to: Key,
        amount: i64,
    ) -> Result<Result<Reply, String>, Trouble> {
        if self.execute(session, PAY, &[i64::from(from), amount]).await? != 1 {
            return Ok(Err(format!("account {from} is not there, or has less than {amount}")));
        }
        if self.execute(session, RECEIVE, &[i64::from(to), amount]).await? != 1 {
            return Ok(Err(format!("account {to} is not there")));
        }
        Ok(Ok(Reply::Done))
    }

    async fn steps(&self, session: &Session, steps: &[Step]) -> Result<Reply, Trouble> {
        let mut replies = vec![];
        for step in steps {
            replies.push(match step {
                Step::Append { key, value } => {
                    self.execute(session, APPEND, &[i64::from(*key), *value]).await?;
                    None
                }
                Step::Read { key } => {
                    let rows = self.query(session, ITEMS, &[i64::from(*key)]).await?;
                    let items = rows.first().map(|row| row.try_get(0)).transpose()?;
                    Some(items.unwrap_or_default())
                }
            });
        }
        Ok(Reply::Txn(replies))
    }

    /// The one value of a key, if it has one.
    async fn value(
        &self,
        session: &Session,
        statement: &str,
        key: Key,
    ) -> Result<Option<i64>, Trouble> {
        let rows = self.query(session, statement, &[i64::from(key)]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    /// How many rows a statement changed. `$1` is the run, numbers follow.
    async fn execute(
        &self,
        session: &Session,
        statement: &str,
        numbers: &[i64],
    ) -> Result<u64, Trouble> {
        let run: &str = &self.run;
        Ok(session.client.execute_typed(statement, &parameters(&run, numbers)).await?)
    }

    async fn query(
        &self,
        session: &Session,
        statement: &str,
        numbers: &[i64],
    ) -> Result<Vec<Row>, Trouble> {
        let run: &str = &self.run;
        Ok(session.client.query_typed(statement, &parameters(&run, numbers)).await?)
    }
}

/// With their types, so that a statement costs one round trip.
fn parameters<'a>(run: &'a &str, numbers: &'a [i64]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let number = |number: &'a i64| (number as &(dyn ToSql + Sync), Type::INT8);
    let run = (run as &(dyn ToSql + Sync), Type::TEXT);
    std::iter::once(run).chain(numbers.iter().map(number)).collect()
}

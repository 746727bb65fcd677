//! The clients of databases: their options, and what a mistake in them is told as.

use super::*;

fn client(text: &str) -> Result<ClientSpec, String> {
    let all = "name: x\ntarget: {docker: {compose: c.yaml}}\nchecks: [lost-writes]\n\
               workload: {model: register, rate: 1/s, client: CLIENT}\n";
    let all = all.replace("CLIENT", text);
    match Scenario::parse("drill.yaml", &all, &[]) {
        Ok(scenario) => Ok(scenario.workload.client),
        Err(_) => Err(mistakes(&all)),
    }
}

#[test]
fn a_client_of_a_database_takes_options_and_needs_none() {
    let redis = |master: &str, password: Option<&str>| {
        let (master, password) = (master.to_string(), password.map(str::to_string));
        ClientSpec::Redis(RedisClient { master, username: None, password })
    };
    assert_eq!(client("redis"), Ok(redis("mymaster", None)));
    assert_eq!(client("{redis: {master: im, password: 123}}"), Ok(redis("im", Some("123"))));

    let postgres = |user: &str, password: Option<&str>, database: &str| {
        let (user, password) = (user.to_string(), password.map(str::to_string));
        ClientSpec::Postgres(PostgresClient { user, password, database: database.into() })
    };
    assert_eq!(client("postgres"), Ok(postgres("postgres", None, "postgres")));
    let all = "{postgres: {user: im, password: secret, database: messages}}";
    assert_eq!(client(all), Ok(postgres("im", Some("secret"), "messages")));
}

#[test]
fn a_mistake_in_a_clients_options_is_told_at_its_place() {
    insta::assert_snapshot!(client("{redis: {mastre: im}}").unwrap_err(), @r#"
drill.yaml:4:57: unknown field `mastre`
  |
4 | workload: {model: register, rate: 1/s, client: {redis: {mastre: im}}}
  |                                                         ^^^^^^
  = did you mean `master`? known: master, username, password
"#);
    insta::assert_snapshot!(client("postgress").unwrap_err(), @r#"
drill.yaml:4:48: unknown name `postgress`
  |
4 | workload: {model: register, rate: 1/s, client: postgress}
  |                                                ^^^^^^^^^
  = did you mean `postgres`? known: store, etcd, redis, postgres, http, exec
"#);
}

#[test]
fn a_client_of_a_database_cannot_talk_to_the_embedded_store() {
    for name in ["etcd", "redis", "postgres"] {
        let all = SMALL.replace("client: store", &format!("client: {name}"));
        let said = mistakes(&all);
        let expected = format!("client `{name}` cannot talk to the embedded store");
        assert!(said.contains(&expected), "{said}");
    }
}

//! The description of the API for machines (OpenAPI 3.1), made from the table of routes and the types of answers.
use super::alerts::{AlertCounts, AlertFlows, AlertTimeline, Alerts, NoteText, NotedAlert, Which, WhichFlows};
use super::blacklists::Blacklists;
use super::ledgers::Ledger;
use super::prefilter::{Prefilter, Rules};
use super::role::Role;
use super::routes::Part;
use super::tap::Tap;
use super::views::{Done, Health, History, Log, Login, Module, Probe, Profile, Refusal, Status};
use super::{ROUTES, Route};
use crate::history::Asked;
use crate::links::Link;
use serde_json::{Value, json};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApiBuilder};
use utoipa::{PartialSchema, ToSchema};

/// `docs/openapi.json`.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", description())
}

fn description() -> Value {
    let mut components = ComponentsBuilder::new();
    let mut referred = Vec::new();
    macro_rules! schemas {
        ($($type:ty),+) => {$(
            components = components.schema(<$type>::name(), <$type>::schema());
            <$type>::schemas(&mut referred);
        )+};
    }
    schemas!(Health, Login, Status, Profile, Module, Link, Probe, History, Asked, Log, Done, Refusal);
    schemas!(
        Alerts,
        NotedAlert,
        AlertCounts,
        AlertTimeline,
        AlertFlows,
        NoteText,
        Blacklists,
        Ledger,
        Prefilter,
        Rules,
        Part,
        Tap,
        Which,
        WhichFlows
    );
    for (name, schema) in referred {
        components = components.schema(name, schema);
    }
    let info = InfoBuilder::new()
        .title("Sonda control API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "HTTP on a unix socket. The kernel says who asks: root and the supervisor's user are admins, members of the socket's group \
             operators, others viewers. A role may what the roles below it may. Where it is configured also HTTP over TLS 1.3: there a token \
             (`Authorization: Bearer TOKEN`), a session that /v1/login began with one, or a client's certificate says who asks.",
        ))
        .build();
    let api = OpenApiBuilder::new().info(info).components(Some(components.build())).build();
    // It fails for what JSON cannot say; there is nothing of the kind.
    let mut api = serde_json::to_value(api).unwrap_or_default();
    for route in ROUTES {
        let operation = operation(route, &api["components"]["schemas"]);
        api["paths"][route.path][route.method.as_str().to_lowercase()] = operation;
    }
    api
}

/// Statuses of refusals that each route may have: of him who asks, of what is not so or not there, of what cannot be had now.
const REFUSALS: [&str; 6] = ["401", "403", "404", "409", "429", "503"];

fn operation(route: &Route, schemas: &Value) -> Value {
    let refusal = json!({ "description": "Refused, and why", "content": { "application/json": {
        "schema": { "$ref": "#/components/schemas/Refusal" } } } });
    let mut answer = json!({ "description": route.about });
    let of = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let schema = match route.answer.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(name) => Some(json!({ "type": "array", "items": of(name) })),
        None => (!route.answer.is_empty()).then(|| of(route.answer)),
    };
    if let Some(schema) = schema {
        answer["content"] = json!({ "application/json": { "schema": schema } });
    }
    let mut operation = json!({
        "summary": route.about,
        "operationId": id(route),
        "x-role": route.role,
        "responses": { "200": answer.clone() },
    });
    let mut parameters = Vec::new();
    if route.path.contains("{name}") {
        let schema = json!({ "type": "string", "minLength": 1 });
        parameters.push(json!({ "name": "name", "in": "path", "required": true, "schema": schema }));
    }
    parameters.extend(in_query(&schemas[route.query]));
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
        operation["responses"]["400"] = refusal.clone();
    }
    if !route.body.is_empty() {
        let content = json!({ "application/json": { "schema": of(route.body) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
        for status in ["400", "408", "413", "415"] {
            operation["responses"][status] = refusal.clone();
        }
    }
    if route.role == Role::Anyone {
        // Told in the same words, whatever it is; over TCP not to anyone.
        operation["responses"]["503"] = answer;
        operation["responses"]["401"] = refusal;
    } else {
        for status in REFUSALS {
            operation["responses"][status] = refusal.clone();
        }
    }
    operation
}

/// The members of a type as parameters.
fn in_query(schema: &Value) -> Vec<Value> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
    let members = schema["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| {
        // What may be left out is not there; it is never null.
        let kind = schema["type"].as_array().and_then(|kinds| kinds.first()).unwrap_or(&schema["type"]);
        json!({ "name": name, "in": "query", "required": required(name), "description": schema["description"],
            "schema": { "type": kind } })
    };
    members.map(parameter).collect()
}

/// `get_v1_modules_name_log`.
fn id(route: &Route) -> String {
    let words = route.path.split(['/', '.']).map(|word| word.trim_matches(['{', '}'])).filter(|word| !word.is_empty());
    let method = route.method.as_str().to_lowercase();
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_type_is_described() {
        let api = description();
        for route in ROUTES {
            let operation = &api["paths"][route.path][route.method.as_str().to_lowercase()];
            assert_eq!(operation["x-role"], json!(route.role), "{}", route.path);
            let name = route.answer.trim_matches(['[', ']']);
            for name in [name, route.query, route.body] {
                assert!(name.is_empty() || api["components"]["schemas"][name].is_object(), "{name} is no type");
            }
            assert!(!route.about.ends_with('.'));
        }
        let ids: Vec<String> = ROUTES.iter().map(id).collect();
        assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "{ids:?}");
        for part in ["Input", "Output", "Processes", "Talker", "ProbeOutput", "HistorySeries"] {
            assert!(api["components"]["schemas"][part].is_object(), "{part}");
        }
    }
}

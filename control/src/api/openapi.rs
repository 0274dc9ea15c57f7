//! The description of the API for machines (OpenAPI 3.1), made from the table of routes and the types of answers.
use super::role::Role;
use super::views::{Done, Health, History, Log, Login, Module, Probe, Profile, Refusal, Status};
use super::{ROUTES, Route};
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
    schemas!(Health, Login, Status, Profile, Module, Link, Probe, History, Log, Done, Refusal);
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
        api["paths"][route.path][route.method.as_str().to_lowercase()] = operation(route);
    }
    api
}

fn operation(route: &Route) -> Value {
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
        "responses": { "200": answer },
    });
    if route.path.contains("{name}") {
        operation["parameters"] =
            json!([{ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }]);
        operation["responses"]["404"] = refusal.clone();
    }
    if route.role > Role::Anyone {
        operation["responses"]["401"] = refusal.clone();
        operation["responses"]["403"] = refusal.clone();
        operation["responses"]["429"] = refusal;
    }
    operation
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
            assert!(name.is_empty() || api["components"]["schemas"][name].is_object(), "{name} is no type");
            assert!(!route.about.ends_with('.'));
        }
        let ids: Vec<String> = ROUTES.iter().map(id).collect();
        assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)), "{ids:?}");
        for part in ["Input", "Output", "Processes", "Talker", "ProbeOutput", "HistorySeries"] {
            assert!(api["components"]["schemas"][part].is_object(), "{part}");
        }
    }
}

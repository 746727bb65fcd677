//! The cluster's objects, as far as a drill reads them: of each the fields that somebody asks for, under the names that
//! the API gives them (Kubernetes API reference, 1.33). All others are skipped while they are read. Objects are changed
//! by patches alone, so that nothing is lost by that.
//!
//! Why not k8s-openapi's own: to read all that a Pod can be takes 0.7 MB of code, and this binary is the agent's image.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Resource, api};
use serde::{Deserialize, Serialize};

/// What kube must know of an object to ask for it.
macro_rules! resource {
    ($object:ident, $group:literal, $plural:literal, $scope:ty) => {
        impl Resource for $object {
            type DynamicType = ();
            type Scope = $scope;
            fn kind((): &()) -> Cow<'_, str> {
                stringify!($object).into()
            }
            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }
            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub(super) struct $name {
                $($(#[$of])* pub $field: $type,)*
            }
        )*
    };
}

resource!(Pod, "", "pods", NamespaceResourceScope);
resource!(Node, "", "nodes", ClusterResourceScope);
resource!(Event, "", "events", NamespaceResourceScope);
resource!(ServiceAccount, "", "serviceaccounts", NamespaceResourceScope);
resource!(StatefulSet, "apps", "statefulsets", NamespaceResourceScope);
resource!(Deployment, "apps", "deployments", NamespaceResourceScope);
resource!(EndpointSlice, "discovery.k8s.io", "endpointslices", NamespaceResourceScope);
resource!(
    SelfSubjectAccessReview,
    "authorization.k8s.io",
    "selfsubjectaccessreviews",
    ClusterResourceScope
);

impl api::Attach for Pod {}
impl api::Ephemeral for Pod {}
impl api::Evict for Pod {}
impl api::Execute for Pod {}
impl api::Log for Pod {}
impl api::Portforward for Pod {}

objects! {
    Pod {
        metadata: ObjectMeta,
        #[serde(skip_serializing_if = "Option::is_none")]
        spec: Option<PodSpec>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<PodStatus>,
    }
    PodSpec {
        containers: Vec<Container>,
        host_network: Option<bool>,
        node_name: Option<String>,
        share_process_namespace: Option<bool>,
    }
    Container {
        name: String,
    }
    PodStatus {
        conditions: Option<Vec<Condition>>,
        container_statuses: Option<Vec<ContainerStatus>>,
        ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
        phase: Option<String>,
        #[serde(rename = "podIPs")]
        pod_ips: Option<Vec<PodIp>>,
    }
    PodIp {
        ip: String,
    }
    ContainerStatus {
        name: String,
        #[serde(rename = "containerID")]
        container_id: Option<String>,
        last_state: Option<ContainerState>,
        restart_count: i32,
        state: Option<ContainerState>,
    }
    ContainerState {
        running: Option<Running>,
        terminated: Option<Terminated>,
        waiting: Option<Waiting>,
    }
    Running {}
    Terminated {
        exit_code: i32,
        message: Option<String>,
        reason: Option<String>,
        signal: Option<i32>,
    }
    Waiting {
        message: Option<String>,
        reason: Option<String>,
    }
    /// One of a pod, or of a machine.
    Condition {
        #[serde(rename = "type")]
        type_: String,
        status: String,
        message: Option<String>,
    }

    Node {
        metadata: ObjectMeta,
        spec: Option<NodeSpec>,
        status: Option<NodeStatus>,
    }
    NodeSpec {
        taints: Option<Vec<Taint>>,
        unschedulable: Option<bool>,
    }
    NodeStatus {
        conditions: Option<Vec<Condition>>,
    }
    /// Written back with all others of its machine: all that it has stands here.
    #[derive(Eq)]
    Taint {
        key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        effect: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        time_added: Option<String>,
    }

    ServiceAccount {
        metadata: ObjectMeta,
    }

    StatefulSet {
        metadata: ObjectMeta,
        spec: Option<Replicated>,
        status: Option<Rolled>,
    }
    Deployment {
        metadata: ObjectMeta,
        spec: Option<Replicated>,
        status: Option<Rolled>,
    }
    /// What a StatefulSet and a Deployment are to keep.
    Replicated {
        replicas: Option<i32>,
        selector: LabelSelector,
    }
    /// How far a StatefulSet or a Deployment is with it. Revisions are a StatefulSet's.
    Rolled {
        current_revision: Option<String>,
        observed_generation: Option<i64>,
        ready_replicas: Option<i32>,
        replicas: Option<i32>,
        update_revision: Option<String>,
        updated_replicas: Option<i32>,
    }

    EndpointSlice {
        metadata: ObjectMeta,
        /// `null` where there is none.
        endpoints: Option<Vec<Endpoint>>,
    }
    Endpoint {
        conditions: Option<EndpointConditions>,
        target_ref: Option<Reference>,
    }
    EndpointConditions {
        ready: Option<bool>,
    }
    Reference {
        api_version: Option<String>,
        kind: Option<String>,
        namespace: Option<String>,
        name: Option<String>,
        uid: Option<String>,
        field_path: Option<String>,
    }

    /// Written, too, and so it says what it is.
    Event {
        api_version: String,
        kind: String,
        metadata: ObjectMeta,
        involved_object: Reference,
        #[serde(rename = "type")]
        type_: Option<String>,
        reason: Option<String>,
        message: Option<String>,
        action: Option<String>,
        count: Option<i32>,
        first_timestamp: Option<String>,
        last_timestamp: Option<String>,
        event_time: Option<String>,
        source: EventSource,
        reporting_component: String,
        reporting_instance: String,
    }
    EventSource {
        component: Option<String>,
    }

    /// A question to the cluster: whether this is allowed.
    SelfSubjectAccessReview {
        api_version: String,
        kind: String,
        metadata: ObjectMeta,
        spec: Asked,
        #[serde(skip_serializing)]
        status: Option<Answered>,
    }
    Asked {
        resource_attributes: Attributes,
    }
    Attributes {
        group: String,
        name: String,
        namespace: String,
        resource: String,
        subresource: String,
        verb: String,
    }
    Answered {
        allowed: bool,
    }
}

//! The attributes that can be filled by their name alone.

use std::sync::LazyLock;

use schemas::scim::{Attributes, Value};

use super::chain::Chain;

macro_rules! predefined {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: [$($path:literal),*];)*) => {
        /// An attribute that a map can have filled by its name alone.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Predefined { $($(#[$doc])* $variant,)* }

        impl Predefined {
            /// Every one.
            pub const ALL: [Self; 15] = [$(Self::$variant),*];

            /// Its name in `custom_attributes`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn paths(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($path),*],)* }
            }
        }
    };
}

predefined! {
    /// All addresses.
    Addresses = "addresses": [];
    /// Cost centre.
    CostCenterName = "cost_center_name": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter"];
    /// Department.
    DepartmentName = "department_name": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"];
    /// The name that is shown.
    DisplayName = "display_name": ["displayName"];
    /// Division.
    DivisionName = "division_name": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division"];
    /// All e-mail addresses.
    Emails = "emails": [];
    /// Number of the employee.
    EmployeeNumber = "employee_number": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"];
    /// Type of the employee.
    EmployeeType = "employee_type": ["userType", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeType"];
    /// When the employment began. RFC 7643 has no place for it; these are those that are in use.
    EmploymentStartDate = "employment_start_date": [
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employmentStartDate",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:startDate",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:hireDate",
        "employmentStartDate", "startDate", "hireDate"
    ];
    /// Title.
    JobTitle = "job_title": ["title"];
    /// The manager's address, where the identity provider sends it.
    ManagerEmail = "manager_email": [
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.email",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.mail"
    ];
    /// The manager's name.
    ManagerName = "manager_name": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName"];
    /// The manager's id.
    ManagerId = "manager_id": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value"];
    /// Organization.
    Organization = "organization": ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization"];
    /// User name.
    Username = "username": ["userName"];
}

/// The parts of an address: in apps and in SCIM.
const ADDRESS: [(&str, &str); 8] = [
    ("type", "type"),
    ("street_address", "streetAddress"),
    ("locality", "locality"),
    ("region", "region"),
    ("postal_code", "postalCode"),
    ("country", "country"),
    ("raw_address", "formatted"),
    ("primary", "primary"),
];

const EMAIL: [(&str, &str); 3] = [("primary", "primary"), ("type", "type"), ("value", "value")];

static CHAINS: LazyLock<[Chain; 15]> = LazyLock::new(|| {
    Predefined::ALL.map(|one| Chain::parse(one.paths()).expect("each of them is read by a test"))
});

impl Predefined {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|predefined| predefined.name() == name)
    }

    pub(super) fn value(self, tree: &Attributes) -> Option<Value> {
        match self {
            Self::Addresses => parts_of(tree, "addresses", &ADDRESS),
            Self::Emails => parts_of(tree, "emails", &EMAIL),
            Self::CostCenterName
            | Self::DepartmentName
            | Self::DisplayName
            | Self::DivisionName
            | Self::EmployeeNumber
            | Self::EmployeeType
            | Self::EmploymentStartDate
            | Self::JobTitle
            | Self::ManagerEmail
            | Self::ManagerName
            | Self::ManagerId
            | Self::Organization
            | Self::Username => CHAINS[self as usize].value(tree),
        }
    }
}

/// The values of a multi-valued attribute, their parts named as apps know them.
fn parts_of(tree: &Attributes, name: &str, parts: &[(&str, &str)]) -> Option<Value> {
    let renamed = |element: &Attributes| {
        let mut renamed = Attributes::default();
        for (app, scim) in parts {
            if let Some(value) = element.get(scim).filter(|value| !value.is_absent()) {
                renamed.insert(*app, value.clone());
            }
        }
        renamed
    };
    let elements = tree.get(name)?.as_list()?.iter().filter_map(Value::as_complex).map(renamed);
    let elements: Vec<Value> =
        elements.filter(|element| !element.is_empty()).map(Value::Complex).collect();
    (!elements.is_empty()).then_some(Value::List(elements))
}

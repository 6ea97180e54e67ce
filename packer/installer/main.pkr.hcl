# An installer's ISO -> the base image of a lab: Packer types the boot command,
# the installer fetches its answers (preseed, kickstart) from Packer's own web server.

variable "source" {
  type        = string
  description = "The ISO, already downloaded and verified."
}

variable "output" {
  type        = string
  description = "A directory that does not exist yet."
}

variable "accelerator" {
  type = string
}

variable "cpu" {
  type = string
}

variable "private_key" {
  type        = string
  description = "Opens `stack` for this build alone; its public half is in the answers."
}

variable "files" {
  type = string
}

variable "scripts" {
  type = list(string)
}

variable "http" {
  type        = string
  description = "Directory with the file `answers`."
}

variable "boot_command" {
  type = list(string)
}

variable "disk_mib" {
  type = string
}

source "qemu" "installer" {
  iso_url          = var.source
  iso_checksum     = "none" # verified against the catalogue's pin before Packer starts
  disk_size        = "${var.disk_mib}M"
  disk_interface   = "virtio"
  disk_cache       = "unsafe"
  disk_discard     = "unmap"
  skip_compaction  = true
  format           = "qcow2"
  output_directory = var.output
  vm_name          = "image.qcow2"

  accelerator    = var.accelerator
  headless       = true
  memory         = 2048
  cpus           = 2
  net_device     = "virtio-net"
  qemuargs       = [["-cpu", var.cpu], ["-serial", "file:${var.output}.console.log"], ["-device", "virtio-rng-pci"]]
  http_directory = var.http

  boot_wait              = "5s"
  boot_command           = var.boot_command
  ssh_username           = "stack"
  ssh_private_key_file   = var.private_key
  ssh_timeout            = "3h" # a whole installation under TCG
  ssh_handshake_attempts = 2000
  shutdown_command       = "sudo systemctl poweroff 2>/dev/null || sudo shutdown -P now"
  shutdown_timeout       = "10m"
}

build {
  sources = ["source.qemu.installer"]

  provisioner "file" {
    source      = var.files
    destination = "/tmp"
  }

  provisioner "shell" {
    execute_command = "sudo -n env {{ .Vars }} sh -eu {{ .Path }}"
    scripts         = var.scripts
  }
}

# What a source left (a disk that boots, or an installer's ISO) -> the base image of
# a lab. Valid on Packer 1.6.6 and on current Packer with its qemu plugin, which
# plugins.pkr.hcl.in asks for (1.6 rejects that block, so it has another name).

variable "source" {
  type        = string
  description = "The disk or the ISO to start from, already verified."
}

variable "is_disk" {
  type        = bool
  description = "A disk that boots (bootstrap, cloud); otherwise an installer's ISO."
}

variable "output" {
  type        = string
  description = "A directory that does not exist yet."
}

variable "disk_mib" {
  type = string
}

variable "accelerator" {
  type = string
}

variable "cpu" {
  type        = string
  description = "qemu64 under TCG: libvirt's pick may hang there."
}

variable "memory_mib" {
  type = number
}

variable "private_key" {
  type        = string
  description = "Opens `stack` for this build alone; the last script takes it out again."
}

variable "ssh_timeout" {
  type        = string
  description = "A cloud image under TCG takes minutes, a whole installation hours."
}

variable "files" {
  type        = string
  description = "Directory with what the scripts install."
}

variable "scripts" {
  type = list(string)
}

variable "cd_files" {
  type        = list(string)
  default     = []
  description = "cloud-init's NoCloud seed, for images that listen to one."
}

variable "http" {
  type        = string
  default     = ""
  description = "Directory with the installer's `answers`, served by Packer."
}

variable "boot_command" {
  type    = list(string)
  default = []
}

source "qemu" "image" {
  disk_image       = var.is_disk
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
  memory         = var.memory_mib
  cpus           = 2
  net_device     = "virtio-net"
  # Any user of the host could type into a screen that has no password. Only an installer's boot
  # menu is typed at: a disk that boots has none (disable_vnc alone keeps Packer away from it).
  qemuargs = concat(
    [["-cpu", var.cpu], ["-serial", "file:${var.output}.console.log"], ["-device", "virtio-rng-pci"]],
    [for has_none in [var.is_disk] : ["-vnc", "none"] if has_none]
  )
  disable_vnc      = var.is_disk
  vnc_use_password = !var.is_disk

  cd_files       = var.cd_files
  cd_label       = "cidata"
  http_directory = var.http

  boot_wait              = var.is_disk ? "1s" : "5s"
  boot_command           = var.boot_command
  ssh_username           = "stack"
  ssh_private_key_file   = var.private_key
  ssh_timeout            = var.ssh_timeout
  ssh_handshake_attempts = 2000
  shutdown_command       = "sudo systemctl poweroff 2>/dev/null || sudo shutdown -P now"
  shutdown_timeout       = "10m"
}

build {
  sources = ["source.qemu.image"]

  provisioner "file" {
    source      = var.files
    destination = "/tmp"
  }

  provisioner "shell" {
    execute_command = "sudo -n env {{ .Vars }} sh -eu {{ .Path }}"
    scripts         = var.scripts
  }
}

# A disk image that boots already (bootstrap, cloud) -> the base image of a lab.
# Valid on Packer 1.6.6 and on current Packer with its qemu plugin, which
# plugins.pkr.hcl.in asks for (1.6 rejects that block, so it has another name).

variable "source" {
  type        = string
  description = "The qcow2 to start from."
}

variable "output" {
  type        = string
  description = "A directory that does not exist yet."
}

variable "accelerator" {
  type = string
}

variable "cpu" {
  type        = string
  description = "qemu64 under TCG: libvirt's pick may hang there."
}

variable "private_key" {
  type        = string
  description = "Opens `stack` for this build alone; the last script takes it out again."
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

variable "disk_mib" {
  type = string
}

source "qemu" "disk" {
  disk_image       = true
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

  accelerator = var.accelerator
  headless    = true
  memory      = 1024
  cpus        = 2
  net_device  = "virtio-net"
  qemuargs    = [["-cpu", var.cpu], ["-serial", "file:${var.output}.console.log"], ["-device", "virtio-rng-pci"]]
  cd_files    = var.cd_files
  cd_label    = "cidata"

  boot_wait              = "1s"
  ssh_username           = "stack"
  ssh_private_key_file   = var.private_key
  ssh_timeout            = "20m" # a cloud image under TCG takes minutes
  ssh_handshake_attempts = 200
  shutdown_command       = "sudo systemctl poweroff 2>/dev/null || sudo shutdown -P now"
  shutdown_timeout       = "10m"
}

build {
  sources = ["source.qemu.disk"]

  provisioner "file" {
    source      = var.files
    destination = "/tmp"
  }

  provisioner "shell" {
    execute_command = "sudo -n env {{ .Vars }} sh -eu {{ .Path }}"
    scripts         = var.scripts
  }
}

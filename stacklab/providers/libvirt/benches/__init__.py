"""What benchmarks compare with: libvirt's own save and restore, and other programs' things."""

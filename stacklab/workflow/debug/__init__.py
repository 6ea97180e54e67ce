"""Services of a lab's cloud under a debugger: `debug.*`."""

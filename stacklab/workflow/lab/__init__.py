"""A lab's life: plan, up, down, rebuild, destroy, reap."""

"""What runs in the zygote and the workers: policy, loader, jail, frames."""

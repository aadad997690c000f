"""How busy the machine is: CPU, memory and the GPUs of this process, sampled beside the training.

`sampler` has the thread; `host`, `nvidia` and `amd` know where figures come from, `visible_devices` which GPUs are
the job's, `gauges` what happens to a figure that cannot be read. Importing this imports only the standard library.
"""

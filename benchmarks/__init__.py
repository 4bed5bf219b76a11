"""Speed, memory and scaling of skem, next to other libraries on the same work; see `python -m benchmarks --help`."""

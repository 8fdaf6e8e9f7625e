"""Side-by-side benchmarks: each module is one, with `main(arguments)` that prints its figures."""

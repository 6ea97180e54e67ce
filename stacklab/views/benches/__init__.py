"""Results of the benches for people: tables and a chart."""

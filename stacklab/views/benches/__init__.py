"""What benches have found, for people: tables and a chart."""

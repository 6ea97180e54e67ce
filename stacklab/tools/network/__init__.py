"""Programs that make, close and measure ways through the network: argv and parsers."""

"""The durable engine that local indexes plug into."""

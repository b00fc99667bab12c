"""The record: products and events, durable before they are acknowledged."""

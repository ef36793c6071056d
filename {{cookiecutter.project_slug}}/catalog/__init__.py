"""The sample app: products, and the suppliers who quote for them."""

"""The sample app: products. Replace it with your own."""

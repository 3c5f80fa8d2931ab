"""Training: the pictures a teacher paints, narrow encoders, and decoders that learn to paint."""

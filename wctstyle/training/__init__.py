"""Training: encoder and decoder together against VGG-19, then the decoder on stylised pictures."""

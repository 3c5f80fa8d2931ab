"""Training: distil the slim encoder from VGG-19, then train the decoder's three stages."""

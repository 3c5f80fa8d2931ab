"""Videos: frames in and out, and what keeps their painting calm. PyAV and OpenCV are imported where they are used."""

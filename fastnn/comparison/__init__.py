"""fastnn beside other libraries: `steps` of training, and `calls` as people make them, timed turn by turn."""
